"""SQS: a pure state machine (``SqsModel``), and the wire protocol on top of it (``wire``)."""
