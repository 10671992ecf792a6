// A consumer by bbc's sqs-consumer, put through the lab's scenarios; docs/your-own-consumer.md has its contract.
//
//     node consumer.mjs          causes the side effect of what it receives
//     node consumer.mjs --look   asks the external system's ledger first
//     node consumer.mjs --claim  claims the message in a table for a time, asks, acts, and marks it as done
import { DynamoDBClient, GetItemCommand, UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";

const claims = process.argv.includes("--claim");
const looks = claims || process.argv.includes("--look");
const env = process.env;
const batchSize = Number(env.MAX_MESSAGES);
const dynamodb = new DynamoDBClient({});
// The SDK would repeat a call whose answer is lost, and with it the side effect.
const ledger = claims ? new DynamoDBClient({ maxAttempts: 1 }) : dynamodb;
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
  await ledger.send(
    new UpdateItemCommand({
      TableName: env.MESSAGE_SIDE_EFFECTS_TABLE,
      Key: { message_id: { S: key } },
      UpdateExpression: "ADD executions :one",
      ExpressionAttributeValues: { ":one": { N: "1" } },
    }),
  );
}

async function setStatus(key, update) {
  await dynamodb.send(
    new UpdateItemCommand({
      TableName: env.MESSAGE_STATUS_TABLE,
      Key: { message_id: { S: key } },
      ExpressionAttributeNames: { "#s": "status" },
      ...update,
    }),
  );
}

// One conditional write; refused where another consumer's claim is alive, or the work is done.
async function claim(key, until) {
  await setStatus(key, {
    ConditionExpression: "attribute_not_exists(message_id) OR (#s = :started AND lease <= :now)",
    UpdateExpression: "SET #s = :started, lease = :until",
    ExpressionAttributeValues: {
      ":started": { S: "STARTED" },
      ":now": { N: `${Date.now()}` },
      ":until": { N: `${until}` },
    },
  });
}

async function handleOnce(message, key) {
  const until = Date.now() + lease;
  try {
    await claim(key, until);
  } catch (error) {
    if (error.name !== "ConditionalCheckFailedException" || !(await wasDone(key))) throw error;
    return message;
  }
  if (!(await wasDone(key))) {
    if (until - Date.now() < lease / 2) throw new Error("too little of the lease is left to begin anything");
    await perform(key);
  }
  await setStatus(key, {
    UpdateExpression: "SET #s = :done",
    ExpressionAttributeValues: { ":done": { S: "COMPLETED" } },
  });
  return message;
}

async function handle(message) {
  const marker = env.REJECT_PAYLOAD_MARKER;
  if (marker && message.Body.includes(marker)) throw new Error(`message ${message.MessageId} is poison`);
  const payload = JSON.parse(message.Body);
  const key = String(payload[env.BUSINESS_IDEMPOTENCY_FIELD || "id"]);
  if (claims) return handleOnce(message, key);
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

async function visibilityTimeout() {
  const asked = new GetQueueAttributesCommand({ QueueUrl: env.QUEUE_URL, AttributeNames: ["VisibilityTimeout"] });
  return Number((await sqs.send(asked)).Attributes.VisibilityTimeout);
}

// What it extends a message's visibility to, while it is at work on it; a claim is not extended.
async function heartbeat() {
  if (!env.HEARTBEAT_SECONDS) return {};
  return { heartbeatInterval: Number(env.HEARTBEAT_SECONDS), visibilityTimeout: await visibilityTimeout() };
}

const lease = claims ? 1000 * Number(env.CLAIM_LEASE_SECONDS || 0.9 * (await visibilityTimeout())) : 0;

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
