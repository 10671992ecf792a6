// A consumer of Go's standard library alone; docs/your-own-consumer.md has the lab's contract.
//
//	consumer                 claims, asks the ledger, causes the side effect, marks it as done, deletes
//	consumer --naive         causes the side effect and deletes
//	consumer --look          asks the ledger, causes the side effect and deletes
//	consumer --mark-first    marks the message as processed, causes the side effect and deletes
//	consumer --delete-first  deletes, then causes the side effect
//	consumer --heartbeat     the first one, which extends the visibility timeout while it is at work
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

type document = map[string]any

var variant = "--careful"

func aws(target string, body document) (document, error) {
	data, _ := json.Marshal(body)
	for tries := 3; ; tries-- {
		request, _ := http.NewRequest("POST", os.Getenv("AWS_ENDPOINT_URL"), bytes.NewReader(data))
		request.Header.Set("X-Amz-Target", target)
		request.Header.Set("Content-Type", "application/x-amz-json-1.0")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		told := document{}
		err = json.NewDecoder(answer.Body).Decode(&told)
		answer.Body.Close()
		if err == nil && answer.StatusCode == 200 {
			return told, nil
		}
		if answer.StatusCode < 500 || tries == 1 {
			return nil, fmt.Errorf("%v", told["__type"])
		}
	}
}

func sqs(action string, more document) (document, error) {
	more["QueueUrl"] = os.Getenv("QUEUE_URL")
	return aws("AmazonSQS."+action, more)
}

func table(action, name, key string, more document) (document, error) {
	more["TableName"], more["Key"] = os.Getenv(name), document{"message_id": document{"S": key}}
	return aws("DynamoDB_20120810."+action, more)
}

func perform(key string) error {
	_, err := table("UpdateItem", "MESSAGE_SIDE_EFFECTS_TABLE", key, document{
		"UpdateExpression": "ADD executions :one", "ExpressionAttributeValues": document{":one": document{"N": "1"}}})
	return err
}

func wasDone(key string) (bool, error) {
	told, err := table("GetItem", "MESSAGE_SIDE_EFFECTS_TABLE", key, document{"ConsistentRead": true})
	_, there := told["Item"]
	return there, err
}

// claim is one conditional write. It returns "ours", "done", or "held" where another consumer's lease is alive.
func claim(key string, until time.Time) (string, error) {
	_, err := table("UpdateItem", "MESSAGE_STATUS_TABLE", key, document{
		"ConditionExpression":      "attribute_not_exists(message_id) OR (#s = :started AND lease <= :now)",
		"UpdateExpression":         "SET #s = :started, lease = :until",
		"ExpressionAttributeNames": document{"#s": "status"},
		"ExpressionAttributeValues": document{":started": document{"S": "STARTED"},
			":now":   document{"N": strconv.FormatInt(time.Now().UnixMilli(), 10)},
			":until": document{"N": strconv.FormatInt(until.UnixMilli(), 10)}}})
	if err == nil {
		return "ours", nil
	}
	if !strings.Contains(err.Error(), "ConditionalCheckFailed") {
		return "", err
	}
	told, err := table("GetItem", "MESSAGE_STATUS_TABLE", key, document{"ConsistentRead": true})
	if err != nil {
		return "", err
	}
	item, _ := told["Item"].(document)
	status, _ := item["status"].(document)
	if status["S"] == "COMPLETED" {
		return "done", nil
	}
	return "held", nil
}

func mark(key string) error {
	_, err := table("UpdateItem", "MESSAGE_STATUS_TABLE", key, document{
		"UpdateExpression": "SET #s = :done", "ExpressionAttributeNames": document{"#s": "status"},
		"ExpressionAttributeValues": document{":done": document{"S": "COMPLETED"}}})
	return err
}

// handle returns whether the message is done with.
func handle(message document, lease time.Duration) (bool, error) {
	text, _ := message["Body"].(string)
	if marker := os.Getenv("REJECT_PAYLOAD_MARKER"); marker != "" && strings.Contains(text, marker) {
		return false, nil
	}
	field := os.Getenv("BUSINESS_IDEMPOTENCY_FIELD")
	if field == "" {
		field = "id"
	}
	payload := document{}
	if err := json.Unmarshal([]byte(text), &payload); err != nil {
		return false, err
	}
	key := fmt.Sprint(payload[field])
	switch variant {
	case "--naive":
		return true, perform(key)
	case "--look":
		done, err := wasDone(key)
		if err != nil || done {
			return done, err
		}
		return true, perform(key)
	case "--delete-first":
		if err := remove(message); err != nil {
			return false, err
		}
		return true, perform(key)
	}
	until := time.Now().Add(lease)
	answer, err := claim(key, until)
	if err != nil || answer != "ours" {
		return answer == "done", err
	}
	if variant == "--mark-first" {
		return true, errors.Join(mark(key), perform(key))
	}
	done, err := wasDone(key)
	if err != nil {
		return false, err
	}
	if !done {
		// Too little of the lease is left to begin anything: the next receive begins anew.
		if time.Until(until) < lease/2 {
			return false, nil
		}
		if err := perform(key); err != nil {
			return false, err
		}
	}
	return true, mark(key)
}

func remove(message document) error {
	_, err := sqs("DeleteMessage", document{"ReceiptHandle": message["ReceiptHandle"]})
	return err
}

// extend extends a message's visibility timeout again and again, until the function that it returns is called: no other
// consumer gets the message while its work goes on.
func extend(message document, timeout float64) (end func()) {
	if variant != "--heartbeat" {
		return func() {}
	}
	every := timeout / 3
	if given, err := strconv.ParseFloat(os.Getenv("HEARTBEAT_SECONDS"), 64); err == nil {
		every = given
	}
	over, ended := make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Duration(every * float64(time.Second)))
		defer ticker.Stop()
		for {
			select {
			case <-over:
				return
			case <-ticker.C:
				parameters := document{"ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": int(timeout)}
				if _, err := sqs("ChangeMessageVisibility", parameters); err != nil {
					fmt.Fprintln(os.Stderr, "error:", err)
				}
			}
		}
	}()
	return func() { close(over); <-ended }
}

func main() {
	if len(os.Args) > 1 {
		variant = os.Args[1]
	}
	var stopping atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() { <-signals; stopping.Store(true) }()
	told, err := sqs("GetQueueAttributes", document{"AttributeNames": []string{"VisibilityTimeout"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	attributes, _ := told["Attributes"].(document)
	seconds, _ := strconv.ParseFloat(fmt.Sprint(attributes["VisibilityTimeout"]), 64)
	timeout := seconds
	seconds *= 0.9
	if given, err := strconv.ParseFloat(os.Getenv("CLAIM_LEASE_SECONDS"), 64); err == nil {
		seconds = given
	}
	most, _ := strconv.Atoi(os.Getenv("MAX_MESSAGES"))
	wait, _ := strconv.Atoi(os.Getenv("WAIT_TIME_SECONDS"))
	for !stopping.Load() {
		batch, err := sqs("ReceiveMessage", document{
			"MaxNumberOfMessages": most, "WaitTimeSeconds": wait,
			"MessageSystemAttributeNames": []string{"MessageGroupId"},
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		messages, _ := batch["Messages"].([]any)
		// On a FIFO queue nothing may overtake what failed in its message group.
		stopped := map[any]bool{}
		for _, each := range messages {
			message, _ := each.(document)
			attributes, _ := message["Attributes"].(document)
			group := attributes["MessageGroupId"]
			if group != nil && stopped[group] {
				continue
			}
			end := extend(message, timeout)
			done, err := handle(message, time.Duration(seconds*float64(time.Second)))
			end()
			if err == nil && done {
				err = remove(message)
			}
			stopped[group] = err != nil || !done
			if err != nil {
				fmt.Fprintln(os.Stderr, "error:", err)
			}
		}
	}
}
