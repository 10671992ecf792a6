"""What exists: the Pulumi program, its components, the provider, the engines and the embedded AWS endpoint."""
