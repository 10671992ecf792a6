"""The embedded engine: it evaluates the program in this process and calls the provider itself."""
