// Walks every SQS action with Node's AWS SDK: reads one call a line as JSON, answers each with one line.
//
// A call is {"action": "SendMessage", "input": {...}}; the answer {"output": {...}} or {"error": "code"}. The SDK checks
// the MD5 of what it sends and receives.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const [, , endpoint, packages] = process.argv;
const sdk = createRequire(`${packages}/package.json`)("@aws-sdk/client-sqs");
const client = new sdk.SQSClient({
  endpoint,
  region: "us-west-1",
  credentials: { accessKeyId: "dummy", secretAccessKey: "dummy" },
  maxAttempts: 1,
});

for await (const line of createInterface({ input: process.stdin })) {
  const { action, input } = JSON.parse(line, (_, value) =>
    value && typeof value === "object" && "BinaryValue" in value
      ? { ...value, BinaryValue: Buffer.from(value.BinaryValue, "base64") }
      : value,
  );
  let answer;
  try {
    const { $metadata, ...output } = await client.send(new sdk[`${action}Command`](input));
    answer = { output };
  } catch (error) {
    answer = { error: error.Code ?? error.name };
  }
  console.log(JSON.stringify(answer, (_, value) => (value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value)));
}
