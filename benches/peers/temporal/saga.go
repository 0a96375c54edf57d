package main

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

type Order struct {
	OrderID string `json:"orderId"`
	Amount  int    `json:"amount"`
	Refused bool   `json:"refused"`
}

// Placed is the outcome of an order: shipped, or refused and compensated.
type Placed struct {
	TrackingID string `json:"trackingId,omitempty"`
	Refusal    string `json:"refusal,omitempty"`
}

// PlaceOrder reserves the stock, takes the payment and books the shipment. After a refusal it compensates the steps before, in
// reverse order.
func PlaceOrder(ctx workflow.Context, order Order, local bool) (placed Placed, err error) {
	execute := executor(ctx, local)
	var participants *Participants
	var compensations []any
	defer func() {
		var refused *temporal.ApplicationError
		if !errors.As(err, &refused) {
			return
		}
		for index := len(compensations) - 1; index >= 0; index-- {
			if err = execute(compensations[index], order, nil); err != nil {
				return
			}
		}
		placed, err = Placed{Refusal: refused.Message()}, nil
	}()

	compensations = append(compensations, participants.Release)
	var reservationID string
	if err = execute(participants.Reserve, order, &reservationID); err != nil {
		return placed, err
	}
	compensations = append(compensations, participants.Refund)
	if err = execute(participants.Charge, order, nil); err != nil {
		return placed, err
	}
	err = execute(participants.Ship, order, &placed.TrackingID)
	return placed, err
}

// Activities are tasks of their own, which any worker may take; local activities run within the task of the workflow.
func executor(ctx workflow.Context, local bool) func(activity any, order Order, result any) error {
	if local {
		ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: 10 * time.Second})
		return func(activity any, order Order, result any) error {
			return workflow.ExecuteLocalActivity(ctx, activity, order).Get(ctx, result)
		}
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	return func(activity any, order Order, result any) error {
		return workflow.ExecuteActivity(ctx, activity, order).Get(ctx, result)
	}
}

// Participants answer at once.
type Participants struct{}

func (*Participants) Reserve(_ context.Context, order Order) (string, error) {
	return "R-" + order.OrderID, nil
}

func (*Participants) Release(context.Context, Order) error { return nil }

func (*Participants) Charge(_ context.Context, order Order) (string, error) {
	return "P-" + order.OrderID, nil
}

func (*Participants) Refund(context.Context, Order) error { return nil }

func (*Participants) Ship(_ context.Context, order Order) (string, error) {
	if order.Refused {
		return "", temporal.NewNonRetryableApplicationError("no carrier", "refused", nil)
	}
	return "T-" + order.OrderID, nil
}
