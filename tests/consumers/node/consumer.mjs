// A consumer of Node's standard library alone; docs/your-own-consumer.md has the lab's contract.
//
//     node consumer.mjs                 claims, asks the ledger, causes the side effect, marks it as done, deletes
//     node consumer.mjs --naive         causes the side effect and deletes
//     node consumer.mjs --look          asks the ledger, causes the side effect and deletes
//     node consumer.mjs --mark-first    marks the message as processed, causes the side effect and deletes
//     node consumer.mjs --delete-first  deletes, then causes the side effect
//     node consumer.mjs --heartbeat     the first one, which extends the visibility timeout while it is at work
import { setTimeout as sleep } from "node:timers/promises";

const env = process.env;
const variant = process.argv[2] ?? "--careful";
const marker = env.REJECT_PAYLOAD_MARKER;
let stopping = false;
process.on("SIGTERM", () => (stopping = true));

async function aws(target, document, tries = 3) {
  const headers = { "X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0" };
  const answer = await fetch(env.AWS_ENDPOINT_URL, { method: "POST", headers, body: JSON.stringify(document) });
  const told = await answer.json();
  if (answer.ok) return told;
  if (answer.status >= 500 && tries > 1) return aws(target, document, tries - 1);
  throw new Error(told.__type);
}

const sqs = (action, rest) => aws(`AmazonSQS.${action}`, { QueueUrl: env.QUEUE_URL, ...rest });
const table = (action, name, key, rest) =>
  aws(`DynamoDB_20120810.${action}`, { TableName: name, Key: { message_id: { S: key } }, ...rest });

const perform = (key) =>
  table("UpdateItem", env.MESSAGE_SIDE_EFFECTS_TABLE, key, {
    UpdateExpression: "ADD executions :one",
    ExpressionAttributeValues: { ":one": { N: "1" } },
  });
const wasDone = async (key) =>
  "Item" in (await table("GetItem", env.MESSAGE_SIDE_EFFECTS_TABLE, key, { ConsistentRead: true }));

// One conditional write. Returns "ours", "done", or "held" where another consumer's lease is alive.
async function claim(key, until) {
  try {
    await table("UpdateItem", env.MESSAGE_STATUS_TABLE, key, {
      ConditionExpression: "attribute_not_exists(message_id) OR (#s = :started AND lease <= :now)",
      UpdateExpression: "SET #s = :started, lease = :until",
      ExpressionAttributeNames: { "#s": "status" },
      ExpressionAttributeValues: {
        ":started": { S: "STARTED" },
        ":now": { N: `${Date.now()}` },
        ":until": { N: `${until}` },
      },
    });
    return "ours";
  } catch (error) {
    if (!error.message.includes("ConditionalCheckFailed")) throw error;
    const { Item } = await table("GetItem", env.MESSAGE_STATUS_TABLE, key, { ConsistentRead: true });
    return Item.status.S === "COMPLETED" ? "done" : "held";
  }
}

const mark = (key) =>
  table("UpdateItem", env.MESSAGE_STATUS_TABLE, key, {
    UpdateExpression: "SET #s = :done",
    ExpressionAttributeNames: { "#s": "status" },
    ExpressionAttributeValues: { ":done": { S: "COMPLETED" } },
  });

// Returns whether the message is done with.
async function handle(message, lease) {
  if (marker && message.Body.includes(marker)) return false;
  const key = String(JSON.parse(message.Body)[env.BUSINESS_IDEMPOTENCY_FIELD || "id"]);
  if (variant === "--naive") return await perform(key), true;
  if (variant === "--look") return (await wasDone(key)) || (await perform(key)), true;
  if (variant === "--delete-first") {
    await sqs("DeleteMessage", { ReceiptHandle: message.ReceiptHandle });
    return await perform(key), true;
  }
  const until = Date.now() + lease;
  const answer = await claim(key, until);
  if (answer !== "ours") return answer === "done";
  if (variant === "--mark-first") return await mark(key), await perform(key), true;
  if (!(await wasDone(key))) {
    // Too little of the lease is left to begin anything: the next receive begins anew.
    if (until - Date.now() < lease / 2) return false;
    await perform(key);
  }
  return await mark(key), true;
}

// No other consumer gets a message while its work goes on.
async function whileExtended(message, timeout, work) {
  if (variant !== "--heartbeat") return await work();
  const parameters = { ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: timeout };
  const extend = () => sqs("ChangeMessageVisibility", parameters).catch((error) => console.error(error.message));
  const heartbeat = setInterval(extend, 1000 * Number(env.HEARTBEAT_SECONDS || timeout / 3));
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
  }
}

const { Attributes } = await sqs("GetQueueAttributes", { AttributeNames: ["VisibilityTimeout"] });
const lease = 1000 * Number(env.CLAIM_LEASE_SECONDS || 0.9 * Number(Attributes.VisibilityTimeout));
while (!stopping) {
  try {
    const { Messages = [] } = await sqs("ReceiveMessage", {
      MaxNumberOfMessages: Number(env.MAX_MESSAGES),
      WaitTimeSeconds: Number(env.WAIT_TIME_SECONDS),
      MessageSystemAttributeNames: ["MessageGroupId"],
    });
    // On a FIFO queue nothing may overtake what failed in its message group.
    const stopped = new Set();
    for (const message of Messages) {
      const group = message.Attributes?.MessageGroupId;
      if (stopped.has(group)) continue;
      let done = false;
      try {
        done = await whileExtended(message, Number(Attributes.VisibilityTimeout), () => handle(message, lease));
        if (done) await sqs("DeleteMessage", { ReceiptHandle: message.ReceiptHandle });
      } catch (error) {
        done = false;
        console.error(`${error.name}: ${error.message}`);
      }
      if (!done && group !== undefined) stopped.add(group);
    }
  } catch (error) {
    console.error(`${error.name}: ${error.message}`);
    await sleep(50);
  }
}
process.exit(0);
