"""Lambda on SQS: the event source mapping, the execution environment, and the API that controls both."""
