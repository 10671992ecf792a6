"""The provider: check, diff, create, read, update and delete of the AWS resource types that the program uses."""
