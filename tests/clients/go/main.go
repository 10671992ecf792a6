// Walks every SQS action with Go's AWS SDK: reads one call a line as JSON, answers each with one line.
//
// A call is {"action": "SendMessage", "input": {...}}; the answer {"output": {...}} or {"error": "code"}. The SDK's own
// methods are called, so that its serialization, its validation and its MD5 checks are what is tested.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
)

type call struct {
	Action string          `json:"action"`
	Input  json.RawMessage `json:"input"`
}

type dummy struct{}

func (dummy) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "dummy", SecretAccessKey: "dummy"}, nil
}

func main() {
	client := sqs.New(sqs.Options{
		Region:           "us-west-1",
		BaseEndpoint:     aws.String(os.Args[1]),
		Credentials:      dummy{},
		RetryMaxAttempts: 1,
	})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		output, err := perform(client, lines.Bytes())
		answer := map[string]any{"output": output}
		if err != nil {
			answer = map[string]any{"error": err.Error()}
			var refused smithy.APIError
			if errors.As(err, &refused) {
				answer["error"] = refused.ErrorCode()
			}
		}
		line, err := json.Marshal(answer)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
	}
}

// perform calls the client's method of the action's name with an input of the type that it takes.
func perform(client *sqs.Client, line []byte) (any, error) {
	var asked call
	if err := json.Unmarshal(line, &asked); err != nil {
		return nil, err
	}
	method := reflect.ValueOf(client).MethodByName(asked.Action)
	if !method.IsValid() {
		return nil, fmt.Errorf("the SDK has no %s", asked.Action)
	}
	input := reflect.New(method.Type().In(1).Elem())
	if err := json.Unmarshal(asked.Input, input.Interface()); err != nil {
		return nil, err
	}
	results := method.Call([]reflect.Value{reflect.ValueOf(context.Background()), input})
	err, _ := results[1].Interface().(error)
	return results[0].Interface(), err
}
