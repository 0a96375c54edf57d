//! Decides which deliveries of one channel may be acknowledged, and how. Pure bookkeeping.
//!
//! Deliveries are settled in any order, but a multiple acknowledgement means "all up to this tag". So settled deliveries wait
//! until all before them are settled too, and are then acknowledged as one. A delivery that is requeued is settled alone. When
//! one slow delivery holds too many up, those behind it are acknowledged singly; otherwise the broker would send no more.

use std::collections::VecDeque;

/// The settlements to be sent for one channel, in this order: a multiple acknowledgement must not cover a tag that is still to
/// be requeued.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settlements {
    pub(super) requeue: Vec<u64>,
    pub(super) ack: Vec<u64>,
    pub(super) ack_up_to: Option<u64>,
}

impl Settlements {
    pub(super) fn is_empty(&self) -> bool {
        self.requeue.is_empty() && self.ack.is_empty() && self.ack_up_to.is_none()
    }
}

/// The unsettled deliveries of one channel.
#[derive(Debug)]
pub(super) struct Acks {
    /// The tag of the first of `slots`. Tags count from 1, without gaps.
    first: u64,
    slots: VecDeque<Slot>,
    requeue: Vec<u64>,
    /// How many of `slots` are done.
    done: usize,
    /// How many deliveries may be done while they wait for one before them.
    most_held_up: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Open,
    /// To be acknowledged.
    Done,
    /// Was settled singly, or is about to be. The broker no longer has this tag.
    Gone,
}

impl Acks {
    pub(super) fn new(most_held_up: usize) -> Self {
        Self { first: 1, slots: VecDeque::new(), requeue: Vec::new(), done: 0, most_held_up }
    }

    pub(super) fn set_most_held_up(&mut self, most: usize) {
        self.most_held_up = most;
    }

    /// Records a delivery. Those with lower tags may still arrive, through another consumer of the channel.
    pub(super) fn delivered(&mut self, tag: u64) {
        while self.first + (self.slots.len() as u64) <= tag {
            self.slots.push_back(Slot::Open);
        }
    }

    pub(super) fn ack(&mut self, tag: u64) {
        if self.set(tag, Slot::Done) {
            self.done += 1;
        }
    }

    pub(super) fn requeue(&mut self, tag: u64) {
        if self.set(tag, Slot::Gone) {
            self.requeue.push(tag);
        }
    }

    /// Takes the settlements that can be sent now. They count as sent.
    pub(super) fn take(&mut self) -> Settlements {
        let mut settlements =
            Settlements { requeue: std::mem::take(&mut self.requeue), ..Settlements::default() };
        while let Some(slot) = self.slots.front().filter(|slot| **slot != Slot::Open) {
            if *slot == Slot::Done {
                // Only a tag that the broker still has may be named.
                settlements.ack_up_to = Some(self.first);
                self.done -= 1;
            }
            self.slots.pop_front();
            self.first += 1;
        }
        if self.done > self.most_held_up {
            settlements.ack = self.take_held_up();
        }
        settlements
    }

    fn take_held_up(&mut self) -> Vec<u64> {
        self.done = 0;
        let done = self.slots.iter_mut().zip(self.first..).filter(|(slot, _)| **slot == Slot::Done);
        done.map(|(slot, tag)| {
            *slot = Slot::Gone;
            tag
        })
        .collect()
    }

    fn set(&mut self, tag: u64, to: Slot) -> bool {
        let index = tag.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| self.slots.get_mut(index)) {
            Some(slot @ Slot::Open) => {
                *slot = to;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(count: u64, most_held_up: usize) -> Acks {
        let mut acks = Acks::new(most_held_up);
        (1..=count).for_each(|tag| acks.delivered(tag));
        acks
    }

    fn up_to(tag: u64) -> Settlements {
        Settlements { ack_up_to: Some(tag), ..Settlements::default() }
    }

    #[test]
    fn what_has_not_come_in_yet_is_not_acknowledged_with_others() {
        let mut acks = Acks::new(10);
        acks.delivered(3);
        acks.ack(3);
        assert!(acks.take().is_empty());
        acks.delivered(1);
        acks.delivered(2);
        acks.ack(1);
        acks.ack(2);
        assert_eq!(acks.take(), up_to(3));
    }

    #[test]
    fn settled_deliveries_wait_for_those_before_them() {
        let mut acks = delivered(4, 10);
        acks.ack(3);
        acks.ack(2);
        assert!(acks.take().is_empty());
        acks.ack(1);
        assert_eq!(acks.take(), up_to(3));
        acks.ack(4);
        acks.delivered(5);
        assert_eq!(acks.take(), up_to(4));
        acks.ack(5);
        assert_eq!(acks.take(), up_to(5));
        assert!(acks.take().is_empty());
    }

    #[test]
    fn what_is_put_back_goes_out_by_itself_and_is_never_named_again() {
        let mut acks = delivered(4, 10);
        acks.ack(1);
        acks.requeue(2);
        acks.requeue(4);
        assert_eq!(acks.take(), Settlements { requeue: vec![2, 4], ack: vec![], ack_up_to: Some(1) });
        acks.ack(3);
        assert_eq!(acks.take(), up_to(3), "not 4, which the broker knows no more");
        assert!(acks.take().is_empty());
    }

    #[test]
    fn one_slow_delivery_holds_up_only_so_many() {
        let mut acks = delivered(6, 2);
        acks.ack(2);
        acks.ack(4);
        assert!(acks.take().is_empty());
        acks.ack(5);
        assert_eq!(acks.take(), Settlements { requeue: vec![], ack: vec![2, 4, 5], ack_up_to: None });
        acks.ack(1);
        acks.ack(3);
        assert_eq!(acks.take(), up_to(3));
        acks.ack(6);
        assert_eq!(acks.take(), up_to(6));
    }

    #[test]
    fn settling_twice_or_the_unknown_changes_nothing() {
        let mut acks = delivered(2, 10);
        acks.ack(1);
        acks.ack(1);
        acks.requeue(1);
        acks.ack(7);
        assert_eq!(acks.take(), up_to(1));
        acks.ack(1);
        assert!(acks.take().is_empty());
    }
}
