// A consumer of Java's standard library alone; docs/your-own-consumer.md has the lab's contract.
//
//     java Consumer.java                 claims, asks the ledger, causes the side effect, marks it as done, deletes
//     java Consumer.java --naive         causes the side effect and deletes
//     java Consumer.java --look          asks the ledger, causes the side effect and deletes
//     java Consumer.java --mark-first    marks the message as processed, causes the side effect and deletes
//     java Consumer.java --delete-first  deletes, then causes the side effect
//     java Consumer.java --heartbeat     the first one, which extends the visibility timeout while it is at work
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.HashSet;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Consumer {
    static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    static volatile boolean stopping = false;
    static String variant = "--careful";

    static String env(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    static String aws(String target, String body) throws Exception {
        for (int tries = 3; ; tries--) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(env("AWS_ENDPOINT_URL", "")))
                .header("X-Amz-Target", target).header("Content-Type", "application/x-amz-json-1.0")
                .POST(HttpRequest.BodyPublishers.ofString(body)).build();
            HttpResponse<String> answer = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() == 200) return answer.body();
            if (answer.statusCode() < 500 || tries == 1) throw new IllegalStateException(answer.body());
        }
    }

    static String sqs(String action, String rest) throws Exception {
        return aws("AmazonSQS." + action, "{\"QueueUrl\":\"" + env("QUEUE_URL", "") + "\"" + rest + "}");
    }

    static String table(String action, String name, String key, String rest) throws Exception {
        String where = "\"TableName\":\"" + env(name, "") + "\",\"Key\":{\"message_id\":{\"S\":\"" + key + "\"}}";
        return aws("DynamoDB_20120810." + action, "{" + where + rest + "}");
    }

    static void perform(String key) throws Exception {
        table("UpdateItem", "MESSAGE_SIDE_EFFECTS_TABLE", key,
            ",\"UpdateExpression\":\"ADD executions :one\",\"ExpressionAttributeValues\":{\":one\":{\"N\":\"1\"}}");
    }

    static boolean wasDone(String key) throws Exception {
        return table("GetItem", "MESSAGE_SIDE_EFFECTS_TABLE", key, ",\"ConsistentRead\":true").contains("\"Item\"");
    }

    /** One conditional write. Returns "ours", "done", or "held" where another consumer's lease is alive. */
    static String claim(String key, long until) throws Exception {
        try {
            table("UpdateItem", "MESSAGE_STATUS_TABLE", key,
                ",\"ConditionExpression\":\"attribute_not_exists(message_id) OR (#s = :started AND lease <= :now)\""
                + ",\"UpdateExpression\":\"SET #s = :started, lease = :until\""
                + ",\"ExpressionAttributeNames\":{\"#s\":\"status\"}"
                + ",\"ExpressionAttributeValues\":{\":started\":{\"S\":\"STARTED\"},\":now\":{\"N\":\""
                + System.currentTimeMillis() + "\"},\":until\":{\"N\":\"" + until + "\"}}");
            return "ours";
        } catch (IllegalStateException error) {
            if (!error.getMessage().contains("ConditionalCheckFailed")) throw error;
            String item = table("GetItem", "MESSAGE_STATUS_TABLE", key, ",\"ConsistentRead\":true");
            return item.contains("COMPLETED") ? "done" : "held";
        }
    }

    static void mark(String key) throws Exception {
        table("UpdateItem", "MESSAGE_STATUS_TABLE", key,
            ",\"UpdateExpression\":\"SET #s = :done\",\"ExpressionAttributeNames\":{\"#s\":\"status\"}"
            + ",\"ExpressionAttributeValues\":{\":done\":{\"S\":\"COMPLETED\"}}");
    }

    /** Returns whether the message is done with. */
    static boolean handle(String body, String handle, long lease) throws Exception {
        String marker = env("REJECT_PAYLOAD_MARKER", "");
        if (!marker.isEmpty() && body.contains(marker)) return false;
        String key = first("\"" + env("BUSINESS_IDEMPOTENCY_FIELD", "id") + "\"\\s*:\\s*\"?([^\",}]+)", body);
        switch (variant) {
            case "--naive": perform(key); return true;
            case "--look": if (!wasDone(key)) perform(key); return true;
            case "--delete-first": remove(handle); perform(key); return true;
        }
        long until = System.currentTimeMillis() + lease;
        String answer = claim(key, until);
        if (!answer.equals("ours")) return answer.equals("done");
        if (variant.equals("--mark-first")) { mark(key); perform(key); return true; }
        if (!wasDone(key)) {
            // Too little of the lease is left to begin anything: the next receive begins anew.
            if (until - System.currentTimeMillis() < lease / 2) return false;
            perform(key);
        }
        mark(key);
        return true;
    }

    /** Extends a message's visibility timeout until it is interrupted: no other consumer gets it while work goes on. */
    static Thread extend(String handle, String timeout) {
        long every = (long) (1000 * Double.parseDouble(env("HEARTBEAT_SECONDS", "" + Double.parseDouble(timeout) / 3)));
        Thread heartbeat = new Thread(() -> {
            try {
                while (!Thread.currentThread().isInterrupted()) {
                    Thread.sleep(every);
                    sqs("ChangeMessageVisibility",
                        ",\"ReceiptHandle\":\"" + handle + "\",\"VisibilityTimeout\":" + timeout);
                }
            } catch (InterruptedException over) {
                return;
            } catch (Exception error) {
                System.err.println("error: " + error.getMessage());
            }
        });
        if (variant.equals("--heartbeat")) heartbeat.start();
        return heartbeat;
    }

    static void end(Thread heartbeat) throws InterruptedException {
        heartbeat.interrupt();
        heartbeat.join();
    }

    static void remove(String handle) throws Exception {
        sqs("DeleteMessage", ",\"ReceiptHandle\":\"" + handle + "\"");
    }

    static String first(String pattern, String text) {
        Matcher found = Pattern.compile(pattern).matcher(text);
        return found.find() ? found.group(1) : "";
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 0) variant = arguments[0];
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stopping = true));
        String asked = sqs("GetQueueAttributes", ",\"AttributeNames\":[\"VisibilityTimeout\"]");
        String timeout = first("\"VisibilityTimeout\"\\s*:\\s*\"(\\d+)", asked);
        long lease = (long) (1000 * Double.parseDouble(
            env("CLAIM_LEASE_SECONDS", "" + 0.9 * Double.parseDouble(timeout))));
        while (!stopping) {
            try {
                String told = sqs("ReceiveMessage", ",\"MaxNumberOfMessages\":" + env("MAX_MESSAGES", "1")
                    + ",\"WaitTimeSeconds\":" + env("WAIT_TIME_SECONDS", "0")
                    + ",\"MessageSystemAttributeNames\":[\"MessageGroupId\"]");
                // On a FIFO queue nothing may overtake what failed in its message group.
                Set<String> stopped = new HashSet<>();
                for (String each : told.split("(?=\"MessageId\")")) {
                    String handle = first("\"ReceiptHandle\"\\s*:\\s*\"([^\"]+)", each);
                    if (handle.isEmpty()) continue;
                    String body = first("\"Body\"\\s*:\\s*\"((?:[^\"\\\\]++|\\\\.)*+)\"", each).replace("\\\"", "\"");
                    String group = first("\"MessageGroupId\"\\s*:\\s*\"([^\"]+)", each);
                    if (stopped.contains(group)) continue;
                    boolean done = false;
                    Thread heartbeat = extend(handle, timeout);
                    try {
                        boolean settled = handle(body, handle, lease);
                        end(heartbeat);
                        if (settled) {
                            remove(handle);
                            done = true;
                        }
                    } catch (IllegalStateException error) {
                        System.err.println("error: " + error.getMessage());
                    } finally {
                        end(heartbeat);
                    }
                    if (!done && !group.isEmpty()) stopped.add(group);
                }
            } catch (IllegalStateException error) {
                System.err.println("error: " + error.getMessage());
                Thread.sleep(50);
            }
        }
    }
}
