// Runs a Node.js handler: a loop over the Runtime API, since AWS's own client compiles native code when it is installed.
import http from "node:http";
import path from "node:path";
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const PREFIX = "/2018-06-01/runtime/";
const ENDINGS = ["", ".mjs", ".cjs", ".js"];

function call(method, target, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const data = body === undefined ? undefined : Buffer.from(body);
    const length = data === undefined ? {} : { "Content-Type": "application/json", "Content-Length": data.length };
    const request = http.request(
      { agent, host, port, method, path: PREFIX + target, headers: { ...length, ...headers } },
      (answer) => {
        const parts = [];
        answer.on("data", (part) => parts.push(part));
        answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) }));
        answer.on("error", reject);
      },
    );
    request.on("error", reject);
    request.end(data);
  });
}

function describe(error) {
  const known = error instanceof Error;
  return {
    errorType: known ? error.name : typeof error,
    errorMessage: known ? error.message : String(error),
    trace: known && error.stack ? error.stack.split("\n") : [],
  };
}

async function report(target, error) {
  const description = describe(error);
  console.error(description.trace.join("\n") || description.errorMessage);
  await call("POST", target, JSON.stringify(description), { "Lambda-Runtime-Function-Error-Type": description.errorType });
}

async function load(handler) {
  const dot = handler.lastIndexOf(".");
  if (dot < 1) throw new Error(`Bad handler '${handler}': it has to be module.function`);
  const [module, name] = [handler.slice(0, dot), handler.slice(dot + 1)];
  const base = path.resolve(process.env.LAMBDA_TASK_ROOT, module);
  const ending = ENDINGS.find((each) => each !== "" && existsSync(base + each));
  if (ending === undefined) throw new Error(`Cannot find module '${module}' in ${process.env.LAMBDA_TASK_ROOT}`);
  const loaded = await import(pathToFileURL(base + ending).href);
  const found = loaded[name] ?? loaded.default?.[name];
  if (typeof found !== "function") throw new Error(`${handler} is undefined or not exported`);
  return found;
}

function invoke(handler, event, context) {
  return new Promise((resolve, reject) => {
    const done = (error, result) => (error ? reject(error) : resolve(result));
    const returned = handler(event, context, done);
    if (typeof returned?.then === "function") returned.then(resolve, reject);
    else if (handler.length < 3) resolve(returned);
  });
}

function contextOf(headers) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  return {
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(deadline - Date.now(), 0),
  };
}

let handler;
try {
  handler = await load(process.argv[2]);
} catch (error) {
  await report("init/error", error);
  process.exit(1);
}
for (;;) {
  const next = await call("GET", "invocation/next");
  const id = next.headers["lambda-runtime-aws-request-id"];
  process.env._X_AMZN_TRACE_ID = next.headers["lambda-runtime-trace-id"];
  try {
    const result = await invoke(handler, JSON.parse(next.body), contextOf(next.headers));
    await call("POST", `invocation/${id}/response`, JSON.stringify(result ?? null));
  } catch (error) {
    await report(`invocation/${id}/error`, error);
  }
}
