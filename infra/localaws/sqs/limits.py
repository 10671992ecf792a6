"""The limits of SQS, each with the page of AWS that sets it."""

from typing import Final

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MAX_MESSAGE_BYTES: Final = 1_048_576
MIN_MAXIMUM_MESSAGE_SIZE: Final = 1_024
MAX_MESSAGE_ATTRIBUTES: Final = 10
MAX_BATCH_ENTRIES: Final = 10
MAX_BATCH_ENTRY_ID_LENGTH: Final = 80
MAX_DELAY_SECONDS: Final = 900
MIN_RETENTION_SECONDS: Final = 60
MAX_RETENTION_SECONDS: Final = 1_209_600
DEFAULT_RETENTION_SECONDS: Final = 345_600
MAX_GROUP_ID_LENGTH: Final = 128

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
MAX_QUEUE_NAME_LENGTH: Final = 80
MAX_IN_FLIGHT: Final = 120_000
MAX_RECEIVE_WAIT_SECONDS: Final = 20
MAX_TAGS: Final = 50

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
MAX_SEARCHED: Final = 120_000

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
MAX_VISIBILITY_SECONDS: Final = 43_200
DEFAULT_VISIBILITY_SECONDS: Final = 30

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
MAX_RECEIVE_MESSAGES: Final = 10
RECEIVE_ATTEMPT_SECONDS: Final = 300.0
MAX_ATTEMPT_ID_LENGTH: Final = 128

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
DEDUPLICATION_SECONDS: Final = 300.0
MAX_DEDUPLICATION_ID_LENGTH: Final = 128

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
MAX_ATTRIBUTE_NAME_LENGTH: Final = 256
MAX_ATTRIBUTE_TYPE_LENGTH: Final = 256

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
MAX_RECEIVE_COUNT_LIMIT: Final = 1_000
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
MAX_REDRIVE_SOURCES: Final = 10
MIN_KMS_REUSE_SECONDS: Final = 60
MAX_KMS_REUSE_SECONDS: Final = 86_400
DEFAULT_KMS_REUSE_SECONDS: Final = 300

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html
MAX_PERMISSION_ACTIONS: Final = 7
MAX_POLICY_STATEMENTS: Final = 20
MAX_LABEL_LENGTH: Final = 80

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
MAX_MOVES_PER_SECOND: Final = 500
MAX_MOVE_TASKS: Final = 100
MAX_MOVE_TASK_SECONDS: Final = 36 * 3_600.0
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListMessageMoveTasks.html
MAX_LISTED_MOVE_TASKS: Final = 10

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_PurgeQueue.html
PURGE_SECONDS: Final = 60.0

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html
NAME_REUSE_SECONDS: Final = 60.0

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListQueues.html
MAX_LIST_RESULTS: Final = 1_000
