//! The definitions that ship, end to end on a real RabbitMQ and a real PostgreSQL: each the whole way, and refused on
//! the way and compensated.

mod support;

use serde_json::{Value, json};
use snorri_core::SagaId;
use support::demo::{Stage, shipped};
use support::orchestrator::story;
use support::trades::{Bank, Deposits, Fleet, Obliging, Travel};
use support::{Services, until};
use tokio::time::Duration;

const ONCE: (u32, u32) = (1, 0);
const COMPENSATED: (u32, u32) = (1, 1);
const NEVER: (u32, u32) = (0, 0);

fn id(saga: &Value) -> &str {
    saga["id"].as_str().expect("an id")
}

#[test]
fn all_compile_and_are_named_like_their_files() {
    for source in snorri_definition::read_directory(shipped()).expect("the definitions that ship") {
        let compiled = snorri_definition::compile(&source.path.display().to_string(), &source.text)
            .unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(source.path.file_stem().and_then(|stem| stem.to_str()), Some(&*compiled.definition.name));
    }
}

mod order_fulfilment {
    use super::*;

    const STEPS: [&str; 5] = ["reserve", "charge", "ship", "receipt", "loyalty"];

    async fn run(refuses: &'static [&'static str], status: &str) -> (Value, [(u32, u32); 5]) {
        let stage = Stage::new(Obliging { refuses, ..Obliging::default() }).await;
        let input = json!({"orderId": "o-1", "sku": "chair", "amount": 90});
        let saga = stage.run("order-fulfilment", &input, status).await;
        let effects = stage.effects(id(&saga), STEPS);
        (saga, effects)
    }

    #[tokio::test]
    async fn does_everything_once() {
        let (saga, effects) = run(&[], "completed").await;
        assert_eq!(effects, [ONCE; 5]);
        let output =
            json!({"trackingId": "tracking of ship", "receipt": {"receiptId": "receipt of receipt"}});
        assert_eq!(saga["output"], output);
    }

    #[tokio::test]
    async fn continues_without_a_receipt() {
        let (saga, effects) = run(&["mail.receipt"], "completed").await;
        assert_eq!(effects, [ONCE, ONCE, ONCE, NEVER, ONCE]);
        assert_eq!(saga["output"]["receipt"], Value::Null);
    }

    #[tokio::test]
    async fn returns_the_stock_when_the_card_is_refused() {
        let (_, effects) = run(&["payment.charge"], "compensated").await;
        assert_eq!(effects, [COMPENSATED, NEVER, NEVER, NEVER, NEVER]);
    }

    #[tokio::test]
    async fn compensates_both_branches_when_the_pivot_is_refused() {
        let (_, effects) = run(&["shipping.book"], "compensated").await;
        assert_eq!(effects, [COMPENSATED, COMPENSATED, NEVER, NEVER, NEVER]);
    }
}

mod bank_transfer {
    use super::*;

    const STEPS: [&str; 3] = ["debit", "credit", "settle"];

    /// Transfers 30 from ann, who has 100, to an account: bob has 5.
    async fn run(to: &str, settles: bool, status: &str) -> ([(u32, u32); 3], Vec<i64>) {
        let bank = Bank::new(&[("ann", 100), ("bob", 5)], settles);
        let stage = Stage::new(bank.clone()).await;
        let input = json!({"transferId": "t-1", "from": "ann", "to": to, "amount": 30});
        let saga = stage.run("bank-transfer", &input, status).await;
        assert_eq!(bank.balances().iter().sum::<i64>(), 105, "{:#?}", story(&saga));
        (stage.effects(id(&saga), STEPS), bank.balances())
    }

    #[tokio::test]
    async fn moves_the_money() {
        assert_eq!(run("bob", true, "completed").await, ([ONCE; 3], vec![70, 35]));
    }

    #[tokio::test]
    async fn returns_the_money_if_the_account_does_not_exist() {
        assert_eq!(run("eve", true, "compensated").await, ([COMPENSATED, NEVER, NEVER], vec![100, 5]));
    }

    #[tokio::test]
    async fn reverses_both_bookings_when_it_is_not_settled() {
        assert_eq!(run("bob", false, "compensated").await, ([COMPENSATED, COMPENSATED, NEVER], vec![100, 5]));
    }
}

mod account_deposit {
    use super::*;

    /// A deposit arrives twice: its saga, the effects of its two steps, and the balances of both services.
    async fn run(account: &str, amount: i64, status: &str) -> (Value, [(u32, u32); 2], [i64; 2]) {
        let deposits = Deposits::new(&Services::from_env().database().await).await;
        let stage = Stage::new(deposits.clone()).await;
        let deposit = json!({"id": "d-1", "account": account, "amount": amount});
        for _ in 0..2 {
            stage.publish("deposits.events", "deposit.received", &deposit).await;
        }
        let saga = SagaId::of_key("account-deposit", "d-1").to_string();
        until(Duration::from_secs(10), "started", async || {
            (stage.api().get(&format!("/v1/sagas/{saga}")).await.0 == 200).then_some(())
        })
        .await;
        let ended = stage.api().wait_for(&saga, &[status]).await;
        (ended, stage.effects(&saga, ["credit", "post"]), deposits.balances("ann").await)
    }

    #[tokio::test]
    async fn is_in_both_books_once() {
        let (saga, effects, balances) = run("ann", 250, "completed").await;
        assert_eq!((effects, balances), ([ONCE, ONCE], [250, 250]));
        assert_eq!(saga["output"], json!({"balance": 250}));
    }

    #[tokio::test]
    async fn is_in_neither_book_when_the_ledger_refuses() {
        let (_, effects, balances) = run("ann", 20_000, "compensated").await;
        assert_eq!((effects, balances), ([COMPENSATED, NEVER], [0, 0]));
    }

    #[tokio::test]
    async fn is_in_neither_book_when_there_is_no_account() {
        let (_, effects, balances) = run("eve", 250, "compensated").await;
        assert_eq!((effects, balances), ([NEVER, NEVER], [0, 0]));
    }
}

mod travel_booking {
    use super::*;

    fn trip(places: &[&str]) -> Value {
        let legs = places.windows(2).map(|leg| json!({"from": leg[0], "to": leg[1]}));
        json!({"tripId": "trip-1", "city": "Oslo", "legs": legs.collect::<Vec<_>>()})
    }

    #[tokio::test]
    async fn issues_tickets_for_all_legs_in_order_once_approved() {
        let stage = Stage::new(Travel).await;
        let saga = stage.api().start("travel-booking", &trip(&["Rome", "Paris", "Oslo", "Rome"])).await;
        let signal = format!("/v1/sagas/{saga}/signals/approved");
        let (status, body) = stage.api().post(&signal, &json!({"by": "ann"})).await;
        assert_eq!(status, 202, "{body}");
        let ended = stage.api().wait_for(&saga, &["completed"]).await;
        let seats = json!(["Rome-Paris", "Paris-Oslo", "Oslo-Rome"]);
        let output = json!({"seats": seats, "room": "a room in Oslo", "approvedBy": "ann"});
        assert_eq!(ended["output"], output);
        let steps = ["seat[0]", "seat[1]", "seat[2]", "room", "tickets"];
        assert_eq!(stage.effects(&saga, steps), [ONCE; 5]);
    }

    #[tokio::test]
    async fn compensates_the_legs_and_the_room_when_a_leg_is_refused() {
        let stage = Stage::new(Travel).await;
        let places = ["Rome", "Paris", "Oslo", "Atlantis"];
        let saga = stage.run("travel-booking", &trip(&places), "compensated").await;
        let steps = ["seat[0]", "seat[1]", "seat[2]", "room", "tickets"];
        assert_eq!(stage.effects(id(&saga), steps), [COMPENSATED, COMPENSATED, NEVER, COMPENSATED, NEVER]);
    }

    #[tokio::test]
    async fn compensates_everything_without_an_approval() {
        let stage = Stage::with(Travel, |text| text.replace("timeout: 24h", "timeout: 500ms")).await;
        let saga = stage.run("travel-booking", &trip(&["Rome", "Paris"]), "compensated").await;
        assert_eq!(
            stage.effects(id(&saga), ["seat[0]", "room", "tickets"]),
            [COMPENSATED, COMPENSATED, NEVER]
        );
    }
}

mod payment {
    use super::*;

    struct Ended {
        /// authorize, capture
        parent: [(u32, u32); 2],
        /// score, case
        child: [(u32, u32); 2],
        /// The child's status, if there was one.
        status: Option<String>,
    }

    async fn run(amount: i64, service: Obliging, status: &str) -> Ended {
        run_with(amount, service, status, str::to_owned).await
    }

    async fn run_with(amount: i64, service: Obliging, status: &str, change: fn(&str) -> String) -> Ended {
        let stage = Stage::with(service, change).await;
        let input = json!({"paymentId": "p-1", "amount": amount});
        let saga = stage.run("payment", &input, status).await;
        let child = SagaId::of_key("fraud-check", "p-1").to_string();
        let (found, body) = stage.api().get(&format!("/v1/sagas/{child}")).await;
        Ended {
            parent: stage.effects(id(&saga), ["authorize", "capture"]),
            child: stage.effects(&child, ["score", "case"]),
            status: (found == 200).then(|| body["status"].as_str().expect("a status").to_owned()),
        }
    }

    fn refusing(refuses: &'static [&'static str]) -> Obliging {
        Obliging { refuses, ..Obliging::default() }
    }

    #[tokio::test]
    async fn scores_a_large_amount() {
        let ended = run(5_000, Obliging::default(), "completed").await;
        assert_eq!((ended.parent, ended.child), ([ONCE, ONCE], [ONCE, ONCE]));
        assert_eq!(ended.status.as_deref(), Some("completed"));
    }

    #[tokio::test]
    async fn does_not_score_a_small_one() {
        let ended = run(500, Obliging::default(), "completed").await;
        assert_eq!((ended.parent, ended.child), ([ONCE, ONCE], [NEVER, NEVER]));
        assert_eq!(ended.status, None);
    }

    #[tokio::test]
    async fn voids_what_is_too_risky() {
        let ended = run(9_900, Obliging::default(), "compensated").await;
        assert_eq!((ended.parent, ended.child), ([COMPENSATED, NEVER], [ONCE, NEVER]));
        assert_eq!(ended.status.as_deref(), Some("compensated"));
    }

    #[tokio::test]
    async fn compensates_its_child_when_the_capture_is_refused() {
        let ended = run(5_000, refusing(&["card.capture"]), "compensated").await;
        assert_eq!((ended.parent, ended.child), ([COMPENSATED, NEVER], [ONCE, COMPENSATED]));
        assert_eq!(ended.status.as_deref(), Some("compensated"));
    }

    #[tokio::test]
    async fn waits_a_bounded_time_for_a_score() {
        let service = Obliging { ignores: &["fraud.score"], ..Obliging::default() };
        let hurry = |text: &str| text.replace("timeout: 5s", "timeout: 500ms");
        let ended = run_with(5_000, service, "compensated", hurry).await;
        assert_eq!((ended.parent, ended.child), ([COMPENSATED, NEVER], [NEVER, NEVER]));
        assert_eq!(ended.status.as_deref(), Some("compensated"));
    }
}

mod firmware_rollout {
    use super::*;

    const DEVICES: usize = 8;
    const AT_ONCE: u32 = 3;

    /// A rollout to `d0`, `d1` and so on: how it ended, and the effects on the devices and on the fleet.
    async fn run(refuses: Option<&'static str>, status: &str) -> (Value, Vec<(u32, u32)>, (u32, u32)) {
        let fleet = Fleet::new(refuses);
        let stage = Stage::new(fleet.clone()).await;
        let devices: Vec<_> = (0..DEVICES).map(|device| format!("d{device}")).collect();
        let input = json!({"rolloutId": "r-1", "firmware": "2.0", "devices": devices});
        let saga = stage.run("firmware-rollout", &input, status).await;
        let watch = fleet.watch();
        assert_eq!(watch.now, 0, "none is under way any more");
        assert!((2..=AT_ONCE).contains(&watch.most), "{watch:?} {:#?}", story(&saga));
        let of_device = |device| stage.effect(id(&saga), &format!("install[{device}]"));
        let devices = (0..DEVICES).map(of_device).collect();
        let adopted = stage.effect(id(&saga), "adopt");
        (saga, devices, adopted)
    }

    #[tokio::test]
    async fn updates_a_few_devices_at_a_time() {
        let (saga, devices, adopted) = run(None, "completed").await;
        assert_eq!((devices, adopted), (vec![ONCE; DEVICES], ONCE));
        let updated: Vec<_> =
            (0..DEVICES).map(|device| json!({"device": format!("d{device}"), "was": "1.0"})).collect();
        assert_eq!(saga["output"], json!({"updated": updated}));
    }

    #[tokio::test]
    async fn restores_what_was_updated_when_a_device_refuses() {
        let (_, devices, adopted) = run(Some("d4"), "compensated").await;
        assert_eq!((devices[4], adopted), (NEVER, NEVER));
        assert!(devices[..4].iter().all(|effect| *effect == COMPENSATED), "{devices:?}");
        assert!(devices[5..].iter().all(|effect| *effect == COMPENSATED || *effect == NEVER), "{devices:?}");
    }
}
