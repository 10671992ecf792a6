"""What a run shows a person: the HTML report and the counterexample."""
