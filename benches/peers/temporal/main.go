// The order saga on Temporal, as two programs: `orders worker ADDRESS` runs the steps, `orders load ADDRESS STEPS PLAN` starts the
// workflows. STEPS is `activities` or `local-activities`, PLAN the JSON of load.go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	namespace = "orders"
	taskQueue = "orders"
	// How long the namespace may take to be known to all parts of the server.
	patience = 60 * time.Second
	// So many orders wait for no slot of the worker.
	slots = 4_000
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "worker":
		return work(args[1])
	case len(args) == 4 && args[0] == "load":
		return place(args[1], args[2], args[3])
	}
	return fmt.Errorf("usage: orders worker ADDRESS | orders load ADDRESS STEPS PLAN, not %q", args)
}

// Runs until the process is terminated. Prints a line when it is ready.
func work(address string) error {
	if err := createNamespace(address); err != nil {
		return err
	}
	temporal, err := connect(address)
	if err != nil {
		return err
	}
	defer temporal.Close()
	pollers := worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{})
	orders := worker.New(temporal, taskQueue, worker.Options{
		MaxConcurrentActivityExecutionSize:      slots,
		MaxConcurrentLocalActivityExecutionSize: slots,
		MaxConcurrentWorkflowTaskExecutionSize:  slots,
		WorkflowTaskPollerBehavior:              pollers,
		ActivityTaskPollerBehavior:              pollers,
	})
	orders.RegisterWorkflow(PlaceOrder)
	orders.RegisterActivity(&Participants{})
	if err := orders.Start(); err != nil {
		return err
	}
	fmt.Println(`{"event":"ready"}`)
	<-worker.InterruptCh()
	orders.Stop()
	return nil
}

func place(address, steps, planText string) error {
	var plan Plan
	if err := json.Unmarshal([]byte(planText), &plan); err != nil {
		return fmt.Errorf("the plan %q: %w", planText, err)
	}
	temporal, err := connect(address)
	if err != nil {
		return err
	}
	defer temporal.Close()
	return measure(plan, func(ctx context.Context, order Order) (string, error) {
		return placeOrder(ctx, temporal, order, steps == "local-activities")
	})
}

// The id of the order is the id of the workflow, so that it is placed once.
func placeOrder(ctx context.Context, temporal client.Client, order Order, local bool) (string, error) {
	options := client.StartWorkflowOptions{ID: order.OrderID, TaskQueue: taskQueue}
	started, err := temporal.ExecuteWorkflow(ctx, options, PlaceOrder, order, local)
	for isBusy(err) { // the start is idempotent
		started, err = temporal.ExecuteWorkflow(ctx, options, PlaceOrder, order, local)
	}
	if err != nil {
		return "", err
	}
	var placed Placed
	if err := started.Get(ctx, &placed); err != nil {
		return "", err
	}
	switch {
	case placed.Refusal != "":
		return compensated, nil
	case placed.TrackingID == "T-"+order.OrderID:
		return completed, nil
	}
	return "", fmt.Errorf("order %s ended with %+v", order.OrderID, placed)
}

// Whether the server could not answer in time, as it may be when many orders start at once.
func isBusy(err error) bool {
	var late *serviceerror.DeadlineExceeded
	var unavailable *serviceerror.Unavailable
	var exhausted *serviceerror.ResourceExhausted
	isLate := errors.As(err, &late) || errors.Is(err, context.DeadlineExceeded)
	return isLate || errors.As(err, &unavailable) || errors.As(err, &exhausted)
}

func connect(address string) (client.Client, error) {
	return client.Dial(client.Options{HostPort: address, Namespace: namespace, Logger: warnings{}})
}

func createNamespace(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	namespaces, err := client.NewNamespaceClient(client.Options{HostPort: address, Logger: warnings{}})
	if err != nil {
		return err
	}
	defer namespaces.Close()
	err = namespaces.Register(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace:                        namespace,
		WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	})
	if _, exists := err.(*serviceerror.NamespaceAlreadyExists); err != nil && !exists {
		return fmt.Errorf("cannot register the namespace: %w", err)
	}
	return awaitNamespace(ctx, address)
}

// Its parts read the namespaces every few seconds.
func awaitNamespace(ctx context.Context, address string) error {
	temporal, err := client.DialContext(ctx, client.Options{HostPort: address, Namespace: namespace, Logger: warnings{}})
	if err != nil {
		return err
	}
	defer temporal.Close()
	for {
		_, err := temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the namespace is not usable after %v: %w", patience, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// The logger of the SDK, for warnings and errors only.
type warnings struct{}

func (warnings) Debug(string, ...any)             {}
func (warnings) Info(string, ...any)              {}
func (warnings) Warn(text string, values ...any)  { log.Println("warning:", text, values) }
func (warnings) Error(text string, values ...any) { log.Println("error:", text, values) }
