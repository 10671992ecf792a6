// Lambda handlers by aws-lambda-go; which one is told by the name of the program.
//
//	careful  asks the ledger, causes the side effect, and names what failed; a message group stops at its first failure
//	hasty    causes the side effect, and names what failed
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

var careful = filepath.Base(os.Args[0]) != "hasty"

func sideEffect(method, key string) (int, error) {
	request, err := http.NewRequest(method, os.Getenv("SIDE_EFFECT_URL")+key, nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 400 {
		return 0, fmt.Errorf("the side effect failed: %s", answer.Status)
	}
	var told struct{ Executions int }
	return told.Executions, json.NewDecoder(answer.Body).Decode(&told)
}

func handleRecord(record events.SQSMessage) error {
	if marker := os.Getenv("REJECT_PAYLOAD_MARKER"); marker != "" && strings.Contains(record.Body, marker) {
		return errors.New("poison")
	}
	var order struct{ ID string }
	if err := json.Unmarshal([]byte(record.Body), &order); err != nil {
		return err
	}
	if careful {
		if done, err := sideEffect(http.MethodGet, order.ID); err != nil || done > 0 {
			return err
		}
	}
	_, err := sideEffect(http.MethodPost, order.ID)
	return err
}

func handle(_ context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	var response events.SQSEventResponse
	stopped := map[string]bool{}
	for _, record := range event.Records {
		group := record.Attributes["MessageGroupId"]
		if stopped[group] || handleRecord(record) != nil {
			failure := events.SQSBatchItemFailure{ItemIdentifier: record.MessageId}
			response.BatchItemFailures = append(response.BatchItemFailures, failure)
			stopped[group] = group != ""
		}
	}
	return response, nil
}

func main() {
	lambda.Start(handle)
}
