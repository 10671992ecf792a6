// A consumer by bbc's sqs-consumer, put through the lab's scenarios; docs/your-own-consumer.md has its contract.
//
//     node consumer.mjs          causes the side effect of what it receives
//     node consumer.mjs --look   asks the external system's ledger first
import { DynamoDBClient, GetItemCommand, UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";

const looks = process.argv.includes("--look");
const env = process.env;
const batchSize = Number(env.MAX_MESSAGES);
const dynamodb = new DynamoDBClient({});
const sqs = new SQSClient({});

async function wasDone(key) {
  const answer = await dynamodb.send(
    new GetItemCommand({
      TableName: env.MESSAGE_SIDE_EFFECTS_TABLE,
      Key: { message_id: { S: key } },
      ConsistentRead: true,
    }),
  );
  return answer.Item !== undefined;
}

// The side effect: an external system that counts how often it was asked.
async function perform(key) {
  await dynamodb.send(
    new UpdateItemCommand({
      TableName: env.MESSAGE_SIDE_EFFECTS_TABLE,
      Key: { message_id: { S: key } },
      UpdateExpression: "ADD executions :one",
      ExpressionAttributeValues: { ":one": { N: "1" } },
    }),
  );
}

async function handle(message) {
  const marker = env.REJECT_PAYLOAD_MARKER;
  if (marker && message.Body.includes(marker)) throw new Error(`message ${message.MessageId} is poison`);
  const payload = JSON.parse(message.Body);
  const key = String(payload[env.BUSINESS_IDEMPOTENCY_FIELD || "id"]);
  if (looks && (await wasDone(key))) return message;
  await perform(key);
  return message;
}

// In order, and a message group no further than its first failure; what is not returned stays in the queue.
async function handleInOrder(messages) {
  const done = [];
  const stopped = new Set();
  for (const message of messages) {
    const group = message.Attributes.MessageGroupId;
    if (stopped.has(group)) continue;
    try {
      done.push(await handle(message));
    } catch (error) {
      console.error(error.message);
      stopped.add(group);
    }
  }
  return done;
}

// What it extends a message's visibility to, while it is at work on it.
async function heartbeat() {
  if (!env.HEARTBEAT_SECONDS) return {};
  const asked = new GetQueueAttributesCommand({ QueueUrl: env.QUEUE_URL, AttributeNames: ["VisibilityTimeout"] });
  const { Attributes } = await sqs.send(asked);
  return { heartbeatInterval: Number(env.HEARTBEAT_SECONDS), visibilityTimeout: Number(Attributes.VisibilityTimeout) };
}

const fifo = env.QUEUE_URL.endsWith(".fifo");
const consumer = Consumer.create({
  queueUrl: env.QUEUE_URL,
  sqs,
  batchSize,
  waitTimeSeconds: Number(env.WAIT_TIME_SECONDS),
  attributeNames: ["MessageGroupId"],
  suppressFifoWarning: true,
  pollingCompleteWaitTimeMs: 20_000,
  ...(await heartbeat()),
  ...(fifo ? { handleMessageBatch: handleInOrder } : { handleMessage: handle }),
});
for (const event of ["error", "processing_error", "timeout_error"]) {
  consumer.on(event, (error) => console.error(`${event}: ${error.message}`));
}
consumer.on("stopped", () => process.exit(0));
process.on("SIGTERM", () => consumer.stop());
consumer.start();
