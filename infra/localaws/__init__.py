"""The embedded AWS endpoint: our SQS, and DynamoDB by moto, on one port of loopback."""
