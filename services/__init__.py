"""What runs: a producer and a consumer, each alone, against any SQS endpoint."""
