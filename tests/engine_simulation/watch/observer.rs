//! The calls that a watch observes.

use super::*;

impl Observer for Watch {
    fn called(&self, call: &Call<'_>, fault: Fault) {
        if self.calls.fetch_add(1, Ordering::Relaxed) > MAX_CALLS {
            // Time may stand still, and then nothing else would end the run.
            println!("a seed never ends: {} calls were made, and {} is next", MAX_CALLS, call.method);
            std::process::exit(101);
        }
        if fault != Fault::None {
            // Messages of a lane or a publisher are sent later when a call hangs.
            let holds_up = match fault {
                Fault::Hang(_) => &["publish", "commit", "heads", "load"][..],
                _ => &["publish", "commit"][..],
            };
            let is_harmless = matches!(fault, Fault::Fail | Fault::FailAfter | Fault::Hang(_))
                && !holds_up.contains(&call.method);
            if !is_harmless {
                let lasts = match fault {
                    Fault::LoseConnection(lasts) | Fault::Hang(lasts) => lasts,
                    _ => Duration::ZERO,
                };
                self.faulty_until(call.process, Instant::now() + lasts);
            }
            self.story.record(|| format!("{} {} {}: {fault:?}", call.process, call.method, call.number));
        }
    }

    fn committed(&self, process: &str, batch: &Batch) {
        self.check_journal(process, batch);
        self.check_outbox(batch);
        self.check_removed(process, batch);
        if batch.entries.is_empty() && batch.buffered_removed.is_empty() {
            batch.dead_letters.iter().for_each(|letter| self.check_letter(letter));
        }
        if !batch.outbox.is_empty() {
            self.sending.notify_waiters();
        }
    }

    fn given_back(&self, rows: &[OutboxRow]) {
        self.queue(rows);
    }

    fn publishing(&self, process: &str, batch: &[Publication]) {
        batch.iter().for_each(|publication| self.check_sent(process, publication));
    }

    fn published(&self, process: &str, batch: &[Publication], results: &[Published]) {
        for (publication, result) in batch.iter().zip(results) {
            self.inner().published.insert(key_of(publication));
            if *result != Published::Confirmed {
                self.story.record(|| format!("{process}: {} is {result:?}", publication.routing_key));
            }
        }
    }

    fn handled(&self, process: &str, queue: &str, delivery: &Delivery, verdict: &Verdict) {
        // A dead letter names the queue of all replies.
        let queue = self.wire.names.common(queue);
        let kind = delivery.properties.kind.as_deref().unwrap_or_default();
        self.story.record(|| format!("{process} handles {kind} from {queue}: {verdict:?}"));
        match verdict {
            Verdict::Ack if self.inner().set_aside.contains(&set_aside(queue, delivery)) => {}
            Verdict::Ack => self.check_handled(queue, delivery),
            Verdict::Requeue => {}
            Verdict::DeadLetter { code, reason } => self.check_set_aside(queue, delivery, code, reason),
        }
    }
}
