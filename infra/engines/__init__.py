"""How the program is deployed: the engines, the plans that they yield, and the state that they keep."""
