//! Starts by message that repeat an earlier one, or contradict it (case 06).

use snorri_ports::broker::Delivery;

use super::*;

/// A client that starts sagas by message and awaits their outcomes.
struct Starter<'a> {
    world: &'a World,
    answers: String,
}

impl<'a> Starter<'a> {
    async fn new(world: &'a World) -> Self {
        let answers = format!("{}.answers", world.plan.prefix);
        let queue = QueueDeclaration { name: answers.clone(), bindings: Vec::new(), dead_letters: None };
        let topology = Topology { exchanges: Vec::new(), queues: vec![queue] };
        world.broker.declare(&topology).await.expect("declared");
        Self { world, answers }
    }

    async fn send(&self, message_id: &str, correlation: Option<&str>, input: &Value) {
        let start = Publication {
            exchange: String::new(),
            routing_key: format!("{}.starts", self.world.plan.prefix),
            properties: Properties {
                kind: Some("order".to_owned()),
                message_id: Some(message_id.to_owned()),
                correlation_id: correlation.map(str::to_owned),
                reply_to: correlation.map(|_| self.answers.clone()),
                ..Properties::default()
            },
            body: serde_json::to_vec(input).expect("JSON"),
        };
        assert_eq!(self.world.broker.publish(vec![start]).await, [Published::Confirmed]);
    }

    /// The next answers: correlation id, type and body, in the order of the former.
    async fn answers(&self, count: usize) -> Vec<(String, String, Value)> {
        let answer = |delivery: Delivery| {
            let Properties { correlation_id, kind, .. } = delivery.properties;
            let body = serde_json::from_slice(&delivery.body).expect("JSON");
            (correlation_id.expect("a correlation id"), kind.expect("a type"), body)
        };
        let mut answers: Vec<_> =
            collect(&self.world.broker, &self.answers, count).await.into_iter().map(answer).collect();
        answers.sort_by(|one, other| one.0.cmp(&other.0));
        answers
    }

    async fn answer(&self) -> (String, String, Value) {
        self.answers(1).await.remove(0)
    }
}

#[tokio::test]
async fn a_second_start_is_answered_with_the_known_outcome() {
    let world = World::new().await;
    world.take("payment.charge", Manner::Refuse("card_declined"));
    let starter = Starter::new(&world).await;
    starter.send("m1", Some("c1"), &order("o-1")).await;
    let (_, kind, first) = starter.answer().await;
    assert_eq!((kind.as_str(), &first["problem"]["code"]), ("compensated", &json!("card_declined")));

    starter.send("m2", Some("c2"), &order("o-1")).await;
    assert_eq!(starter.answer().await, ("c2".to_owned(), "compensated".to_owned(), first));

    let other = json!({"orderId": "o-1", "amount": 7});
    starter.send("m3", Some("c3"), &other).await;
    let (correlation, kind, body) = starter.answer().await;
    assert_eq!(
        (correlation.as_str(), kind.as_str(), &body["code"]),
        ("c3", "rejected", &json!("key_in_use"))
    );
    let start = json!({"definition": "order", "input": other});
    let (_, problem) = world.orchestrator.api.post("/v1/sagas", &start).await;
    assert_eq!((&body["code"], &body["message"]), (&problem["code"], &problem["detail"]), "as in REST");

    starter.send("m4", None, &other).await;
    let letters = letters(&world, 1).await;
    assert_eq!((&letters[0]["code"], &letters[0]["reason"]), (&body["code"], &body["message"]));
}

#[tokio::test]
async fn an_input_that_is_refused_is_answered_with_the_places() {
    let world = World::new().await;
    let starter = Starter::new(&world).await;
    starter.send("m1", Some("c1"), &json!({"orderId": "o-1", "amount": "ten"})).await;
    let (_, kind, body) = starter.answer().await;
    assert_eq!((kind.as_str(), &body["code"]), ("rejected", &json!("invalid_input")));
    assert_eq!(body["details"][0]["pointer"], "/amount", "{body}");
}

/// Without a business key the message id identifies a repetition. All senders that ask while the saga runs are answered at its
/// end.
#[tokio::test]
async fn all_who_start_a_running_saga_get_its_outcome() {
    let world = World::with(&[], approved).await;
    let starter = Starter::new(&world).await;
    for correlation in ["a", "b", "a", "c"] {
        starter.send("m1", Some(correlation), &json!({})).await;
    }
    let api = &world.orchestrator.api;
    let saga = until(Duration::from_secs(10), "three addresses", async || {
        let (_, page) = api.get("/v1/sagas").await;
        let saga = api.saga(page["sagas"].get(0)?["id"].as_str()?).await;
        let requests = story(&saga).iter().filter(|line| *line == "outcome_requested").count();
        (requests == 2).then_some(saga)
    })
    .await;
    let (status, body) =
        api.post(&format!("/v1/sagas/{}/signals/approved", id(&saga)), &json!({"by": "ann"})).await;
    assert_eq!(status, 202, "{body}");
    let answers = starter.answers(3).await;
    let correlations: Vec<_> = answers.iter().map(|answer| answer.0.as_str()).collect();
    assert_eq!(correlations, ["a", "b", "c"]);
    assert!(answers.iter().all(|answer| answer.1 == "completed" && answer.2 == answers[0].2), "{answers:?}");

    starter.send("m1", Some("d"), &json!({})).await;
    assert_eq!(starter.answer().await, ("d".to_owned(), "completed".to_owned(), answers[0].2.clone()));
    starter.send("m1", Some("e"), &json!({"other": 1})).await;
    let (correlation, kind, body) = starter.answer().await;
    assert_eq!((correlation.as_str(), kind.as_str(), &body["code"]), ("e", "rejected", &json!("key_in_use")));
}

#[tokio::test]
async fn the_addresses_of_an_outcome_are_bounded() {
    let world = World::with(&[], approved).await;
    let starter = Starter::new(&world).await;
    for number in 0..18 {
        starter.send("m1", Some(&format!("c{number:02}")), &json!({})).await;
    }
    let (_, kind, body) = starter.answer().await;
    assert_eq!((kind.as_str(), &body["code"]), ("rejected", &json!("too_many_outcome_requests")));
}
