//! Faults of the engine. Its simulation finds each.

use crate::fault::Fault;

pub const FAULTS: [Fault; 30] = [
    Fault {
        name: "ack_before_commit",
        what: "a reply is acknowledged before it is committed",
        file: "crates/engine/src/intake/replies.rs",
        right: "        match self.submitter.submit_on(options, saga, Input::Reply(reply)).await {",
        wrong: r#"        if snorri_core::planted::is("ack_before_commit") {
            let submitter = self.submitter.clone();
            tokio::spawn(async move { submitter.submit_on(options, saga, Input::Reply(reply)).await });
            return Verdict::Ack;
        }
        match self.submitter.submit_on(options, saga, Input::Reply(reply)).await {"#,
    },
    Fault {
        name: "publish_before_commit",
        what: "commands are sent before they are committed",
        file: "crates/engine/src/lane.rs",
        right: "        parts.store.commit(batch).await?;",
        wrong: r#"        if snorri_core::planted::is("publish_before_commit") {
            parts.outbox.send(queued.clone());
        }
        parts.store.commit(batch).await?;"#,
    },
    Fault {
        name: "no_outbox",
        what: "commands are sent and not stored in the outbox",
        file: "crates/engine/src/lane.rs",
        right: "            outbox: queued.rows.clone(),",
        wrong: r#"            outbox: if snorri_core::planted::is("no_outbox") { Vec::new() } else { queued.rows.clone() },"#,
    },
    Fault {
        name: "no_fence",
        what: "the key of the journal does not prevent an entry from being overwritten",
        file: "crates/testkit/src/memory.rs",
        right: "        if tables.conflicts(&batch) {",
        wrong: r#"        if tables.conflicts(&batch) && !snorri_core::planted::is("no_fence") {"#,
    },
    Fault {
        name: "conflict_is_success",
        what: "a batch that lost to another process counts as committed",
        file: "crates/engine/src/lane.rs",
        right: "            Err(store::Error::Conflict) => {\n                // Any of them",
        wrong: "            Err(store::Error::Conflict) if snorri_core::planted::is(\"conflict_is_success\") => {}\n            Err(store::Error::Conflict) => {\n                // Any of them",
    },
    Fault {
        name: "unknown_commit_is_success",
        what: "a commit without an answer counts as successful",
        file: "crates/engine/src/lane.rs",
        right: "            Err(error) => return Err(error),\n        }\n        Ok(results)",
        wrong: "            Err(_) if snorri_core::planted::is(\"unknown_commit_is_success\") => {}\n            Err(error) => return Err(error),\n        }\n        Ok(results)",
    },
    Fault {
        name: "stale_state_decides",
        what: "a cached state ignores an input although another process has advanced the saga",
        file: "crates/engine/src/lane.rs",
        right: "        check_rejected(&*self.parts.store, requests, results, known).await?;",
        wrong: r#"        if !snorri_core::planted::is("stale_state_decides") {
            check_rejected(&*self.parts.store, requests, results, known).await?;
        }"#,
    },
    Fault {
        name: "one_refuses_all",
        what: "one value that the database cannot hold rejects its whole batch",
        file: "crates/engine/src/lane.rs",
        right: "            store::Error::Invalid(_) | store::Error::Exhausted(_) if requests.len() > 1 => {",
        wrong: r#"            store::Error::Invalid(why) if snorri_core::planted::is("one_refuses_all") => refuse(requests, &why),
            store::Error::Invalid(_) | store::Error::Exhausted(_) if requests.len() > 1 => {"#,
    },
    Fault {
        name: "lost_timer",
        what: "timers are not written",
        file: "crates/engine/src/lane/batch.rs",
        right: "ChangedSaga { row, is_new, timer: state.wake }",
        wrong: r#"ChangedSaga { row, is_new, timer: state.wake.filter(|_| !snorri_core::planted::is("lost_timer")) }"#,
    },
    Fault {
        name: "timer_without_lease",
        what: "a claimed timer is deleted, even if the process dies",
        file: "crates/engine/src/timers/waker.rs",
        right: "            Ok(due) => {\n                let is_full = due.len() >= limit as usize;",
        wrong: r#"            Ok(due) if snorri_core::planted::is("timer_without_lease") => {
                for saga in &due {
                    if let Ok(Some(row)) = self.store.saga(*saga).await {
                        let sagas = vec![store::ChangedSaga { row, is_new: false, timer: None }];
                        let _ = self.store.commit(store::Batch { sagas, ..Default::default() }).await;
                    }
                }
                join_all(due.into_iter().map(|saga| self.submitter.submit(saga, Input::wake()))).await;
                false
            }
            Ok(due) => {
                let is_full = due.len() >= limit as usize;"#,
    },
    Fault {
        name: "stale_command",
        what: "an expired command is sent",
        file: "crates/engine/src/outbox/publisher.rs",
        right: "    let Message::Command(command) = message else { return false };\n    now.since",
        wrong: r#"    if snorri_core::planted::is("stale_command") {
        return false;
    }
    let Message::Command(command) = message else { return false };
    now.since"#,
    },
    Fault {
        name: "stale_deadline",
        what: "a command that waited for the database is sent with its old deadline",
        file: "crates/engine/src/outbox/publisher.rs",
        right: "                    if !is_late(&message, self.parts.clock.now()) {",
        wrong: r#"                    if snorri_core::planted::is("stale_deadline") || !is_late(&message, self.parts.clock.now()) {"#,
    },
    Fault {
        name: "removed_before_confirm",
        what: "a message leaves the outbox when it is sent, not when the broker confirms it",
        file: "crates/engine/src/outbox/publisher.rs",
        right: "        let publishing = metrics.publish_seconds.start();",
        wrong: r#"        if snorri_core::planted::is("removed_before_confirm") {
            self.confirmed.add(messages.iter().map(|unsent| unsent.place));
        }
        let publishing = metrics.publish_seconds.start();"#,
    },
    Fault {
        name: "unknown_is_confirmed",
        what: "a message without a confirm counts as sent",
        file: "crates/engine/src/outbox/publisher.rs",
        right: "                Published::Unknown => unknown.push(unsent.place),",
        wrong: r#"                Published::Unknown if snorri_core::planted::is("unknown_is_confirmed") => gone.push(unsent.place),
                Published::Unknown => unknown.push(unsent.place),"#,
    },
    Fault {
        name: "refused_is_confirmed",
        what: "a message that a full queue refused counts as sent",
        file: "crates/engine/src/outbox/publisher.rs",
        right: "                Published::Refused => self.flow.refuse(unsent, now),",
        wrong: r#"                Published::Refused if snorri_core::planted::is("refused_is_confirmed") => gone.push(unsent.place),
                Published::Refused => self.flow.refuse(unsent, now),"#,
    },
    Fault {
        name: "leftovers_stay",
        what: "messages that a crashed process left in the outbox are never sent",
        file: "crates/engine/src/outbox/sweeper.rs",
        right: "        if rows.is_empty() {\n            return Ok(false);",
        wrong: r#"        if rows.is_empty() || snorri_core::planted::is("leftovers_stay") {
            return Ok(false);"#,
    },
    Fault {
        name: "report_removed",
        what: "a child result leaves the outbox although its parent could not accept it",
        file: "crates/engine/src/outbox/publisher.rs",
        right: "            settling.settle(unsent.place, done).await;",
        wrong: r#"            let done = done || snorri_core::planted::is("report_removed");
            settling.settle(unsent.place, done).await;"#,
    },
    Fault {
        name: "refused_report_removed",
        what: "a child result is dropped if its parent cannot be written",
        file: "crates/engine/src/operations/children.rs",
        right: "        matches!(submitted, Ok(_) | Err(SubmitError::Rejected(_)))",
        wrong: r#"        match submitted {
            Err(SubmitError::Invalid(_)) => snorri_core::planted::is("refused_report_removed"),
            other => matches!(other, Ok(_) | Err(SubmitError::Rejected(_))),
        }"#,
    },
    Fault {
        name: "local_clock",
        what: "each process uses the clock of its machine",
        file: "crates/testkit/src/store.rs",
        right: "                Some(clock) => Ok(Some(clock.now())),",
        wrong: r#"                Some(_) if snorri_core::planted::is("local_clock") => Ok(None),
                Some(clock) => Ok(Some(clock.now())),"#,
    },
    Fault {
        name: "zombie",
        what: "a process continues without a task that has panicked",
        file: "crates/engine/src/supervision.rs",
        right: "            if has_panicked || !stop.is_cancelled() {",
        wrong: r#"            if !snorri_core::planted::is("zombie") && (has_panicked || !stop.is_cancelled()) {"#,
    },
    Fault {
        name: "shutdown_drops",
        what: "a shutdown does not send committed messages",
        file: "crates/engine/src/supervision/running.rs",
        right: "        join(self.publishers).await;",
        wrong: r#"        if snorri_core::planted::is("shutdown_drops") {
            self.publishers.iter().for_each(JoinHandle::abort);
        }
        join(self.publishers).await;"#,
    },
    Fault {
        name: "operator_not_fenced",
        what: "an operator changes a saga that has changed since it was read",
        file: "crates/engine/src/lane.rs",
        right: "        if options.expected.is_some_and(|expected| expected != known.state.seq) {",
        wrong: r#"        if options.expected.is_some_and(|expected| expected != known.state.seq)
            && !snorri_core::planted::is("operator_not_fenced")
        {"#,
    },
    Fault {
        name: "compensation_too_early",
        what: "the rollback begins while an action has no outcome",
        file: "crates/core/src/transition/advance.rs",
        right: "        if !in_flight.is_empty() {",
        wrong: r#"        if !in_flight.is_empty() && !crate::planted::is("compensation_too_early") {"#,
    },
    Fault {
        name: "duplicate_counts",
        what: "a duplicate success counts again",
        file: "crates/core/src/transition/replies.rs",
        right: "            (Some(_), ReplyResult::Success(output)) => self.reply_succeeded(path, *direction, output),",
        wrong: r#"            (None, ReplyResult::Success(output))
                if *direction == Direction::Forward
                    && matches!(step.outcome, StepOutcome::Completed(_))
                    && crate::planted::is("duplicate_counts") =>
            {
                self.reply_succeeded(path, *direction, output);
            }
            (Some(_), ReplyResult::Success(output)) => self.reply_succeeded(path, *direction, output),"#,
    },
    Fault {
        name: "repeated_refusal",
        what: "a duplicate refusal that holds a command is journaled again",
        file: "crates/core/src/transition/replies.rs",
        right: "                if self.is_held_by(path, *direction, problem) =>",
        wrong: r#"                if self.is_held_by(path, *direction, problem) && !crate::planted::is("repeated_refusal") =>"#,
    },
    Fault {
        name: "early_event_lost",
        what: "an event that arrives before its saga is acknowledged and not kept",
        file: "crates/engine/src/event_buffer.rs",
        right: "        self.store.buffer_event(event, limits).await",
        wrong: r#"        if snorri_core::planted::is("early_event_lost") {
            return Ok(Buffered::New);
        }
        self.store.buffer_event(event, limits).await"#,
    },
    Fault {
        name: "event_acked_anyway",
        what: "an event is acknowledged although the database did not store it",
        file: "crates/engine/src/intake/events.rs",
        right: "            _ if self.again => Verdict::Requeue,",
        wrong: r#"            _ if self.again && snorri_core::planted::is("event_acked_anyway") => Verdict::Ack,
            _ if self.again => Verdict::Requeue,"#,
    },
    Fault {
        name: "letter_dropped",
        what: "a dead letter is acknowledged although the database did not store it",
        file: "crates/engine/src/dead_letters.rs",
        right: "        Err(error) if matches!(*error, store::Error::Invalid(_)) => Verdict::DeadLetter { code, reason },",
        wrong: r#"        Err(error) if matches!(*error, store::Error::Invalid(_)) => Verdict::DeadLetter { code, reason },
        Err(_) if snorri_core::planted::is("letter_dropped") => Verdict::Ack,"#,
    },
    Fault {
        name: "schedule_runs_twice",
        what: "each process starts its own saga at the time of a schedule",
        file: "crates/engine/src/timers/schedules.rs",
        right: "        message_id: Some(format!(\"schedule/{}/{time}\", schedule.identity)),",
        wrong: r#"        message_id: match snorri_core::planted::is("schedule_runs_twice") {
            true => None,
            false => Some(format!("schedule/{}/{time}", schedule.identity)),
        },"#,
    },
    Fault {
        name: "pause_is_nothing",
        what: "input that arrives during a pause leads to commands",
        file: "crates/core/src/transition/advance.rs",
        right: "        while self.state.ended.is_none() && self.state.paused.is_none() {",
        wrong: r#"        while self.state.ended.is_none()
            && (self.state.paused.is_none() || crate::planted::is("pause_is_nothing"))
        {"#,
    },
];
