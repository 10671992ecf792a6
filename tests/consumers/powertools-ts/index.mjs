// Lambda handlers by Powertools for AWS Lambda (TypeScript): its batch processor.
//
//   careful   asks the ledger, causes the side effect; what fails is named in the answer
//   floating  does the same, and does not wait for the side effect: the function is frozen with work left over
import { BatchProcessor, EventType, processPartialResponse } from "@aws-lambda-powertools/batch";

const { SIDE_EFFECT_URL, REJECT_PAYLOAD_MARKER: marker } = process.env;

async function sideEffect(key, method) {
  const answer = await fetch(SIDE_EFFECT_URL + key, { method });
  if (!answer.ok) throw new Error(`the side effect failed: ${answer.status}`);
  return (await answer.json()).executions;
}

async function pay(order) {
  if (!(await sideEffect(order.id, "GET"))) await sideEffect(order.id, "POST");
}

function open(record) {
  if (marker && record.body.includes(marker)) throw new Error(`message ${record.messageId} is poison`);
  return JSON.parse(record.body);
}

const each = (event, context, handle) =>
  processPartialResponse(event, handle, new BatchProcessor(EventType.SQS), {
    context,
    throwOnFullBatchFailure: false,
  });

export const careful = (event, context) => each(event, context, async (record) => pay(open(record)));

export const floating = (event, context) =>
  each(event, context, async (record) => {
    pay(open(record)).catch((error) => console.error(error.message));
  });
