//! `snorri check --live` on a real RabbitMQ, in a virtual host of its own for each test.
//!
//! The management API lists what is declared at once, but a consumer only with the broker's next statistics: a test that has one
//! waits until it is listed.

#[path = "live/vhost.rs"]
mod vhost;

use serde_json::json;

use self::vhost::Vhost;

/// Reserve, then ship: three commands.
const ORDER: &str = "\
saga: order
version: 1
key: ${ input.orderId }
defaults: { exchange: shop.commands }
steps:
  - name: reserve
    command: inventory.reserve
    compensate: { command: inventory.release }
  - name: ship
    command: shipping.book
    pivot: true
";

/// A virtual host, or the end of the test if there is no management API to be had.
macro_rules! vhost {
    () => {
        match Vhost::new().await {
            Some(vhost) => vhost,
            None => return eprintln!("skipped: SNORRI_TEST_MANAGEMENT_URL is not set"),
        }
    };
}

const NOTHING_WRONG: &str = "1 definition: nothing wrong\n";

#[tokio::test]
async fn nothing_is_there() {
    let vhost = vhost!();
    let said = vhost.check(ORDER).await;
    insta::assert_snapshot!(said.out);
    assert_eq!(said.code, 1);
    vhost.gone().await;
}

#[tokio::test]
async fn an_exchange_and_nothing_bound_to_it() {
    let vhost = vhost!();
    vhost.exchange("shop.commands", "topic", &json!({})).await;
    vhost.queue("inventory", &json!({})).await;
    vhost.bind("shop.commands", "q/inventory", "inventory.stock.*").await;
    let said = vhost.check(ORDER).await;
    insta::assert_snapshot!(said.out);
    assert_eq!(said.code, 1);
    vhost.gone().await;
}

#[tokio::test]
async fn bound_and_nobody_consumes() {
    let vhost = vhost!();
    vhost.all_right().await;
    let said = vhost.check(ORDER).await;
    insta::assert_snapshot!(said.out);
    assert_eq!(said.code, 1);
    vhost.gone().await;
}

#[tokio::test]
async fn all_is_right() {
    let vhost = vhost!();
    vhost.all_right().await;
    vhost.consume(&["inventory", "shipping"]).await;
    let said = vhost.check(ORDER).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.ends_with(NOTHING_WRONG), "{}", said.out);
    vhost.gone().await;
}

#[tokio::test]
async fn consumed_and_dead_letters_are_lost() {
    let vhost = vhost!();
    vhost.exchange("shop.commands", "topic", &json!({})).await;
    vhost.exchange("shop.dead", "topic", &json!({})).await;
    vhost.queue("inventory", &json!({})).await;
    vhost.queue("shipping", &json!({"x-dead-letter-exchange": "shop.dead"})).await;
    vhost.bind("shop.commands", "q/inventory", "inventory.*").await;
    vhost.bind("shop.commands", "q/shipping", "shipping.#").await;
    vhost.consume(&["inventory", "shipping"]).await;
    let said = vhost.check(ORDER).await;
    insta::assert_snapshot!(said.out);
    assert_eq!(said.code, 1);
    vhost.gone().await;
}

#[tokio::test]
async fn a_policy_counts_as_an_argument_does() {
    let vhost = vhost!();
    vhost.exchange("shop.commands", "topic", &json!({})).await;
    vhost.exchange("shop.dead", "fanout", &json!({})).await;
    vhost.queue("dead", &json!({})).await;
    vhost.bind("shop.dead", "q/dead", "").await;
    vhost.queue("all", &json!({"x-queue-type": "quorum"})).await;
    vhost.bind("shop.commands", "q/all", "#").await;
    vhost.consume(&["all"]).await;
    vhost.policy(&json!({"delivery-limit": 5, "dead-letter-exchange": "shop.elsewhere"})).await;
    let said = vhost.check(ORDER).await;
    insta::assert_snapshot!(said.out);
    assert_eq!(said.code, 1);
    vhost.policy(&json!({"delivery-limit": 5, "dead-letter-exchange": "shop.dead"})).await;
    let said = vhost.check(ORDER).await;
    assert_eq!((said.code, said.out.ends_with(NOTHING_WRONG)), (0, true), "{}", said.out);
    vhost.gone().await;
}

#[tokio::test]
async fn commands_go_through_other_exchanges_and_alternates() {
    let vhost = vhost!();
    vhost.exchange("shop.commands", "topic", &json!({"alternate-exchange": "shop.rest"})).await;
    vhost.exchange("shop.inventory", "direct", &json!({})).await;
    vhost.exchange("shop.rest", "fanout", &json!({})).await;
    vhost.queue("dead", &json!({})).await;
    let dead = json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"});
    vhost.queue("inventory", &dead).await;
    vhost.queue("shipping", &dead).await;
    vhost.bind("shop.commands", "e/shop.inventory", "inventory.#").await;
    vhost.bind("shop.inventory", "q/inventory", "inventory.reserve").await;
    vhost.bind("shop.rest", "q/shipping", "").await;
    vhost.consume(&["inventory", "shipping"]).await;
    let said = vhost.check(ORDER).await;
    insta::assert_snapshot!(said.out);
    vhost.bind("shop.inventory", "q/inventory", "inventory.release").await;
    assert_eq!(vhost.check(ORDER).await.code, 0);
    vhost.gone().await;
}

#[tokio::test]
async fn an_exchange_of_another_type_is_not_what_snorri_declares() {
    let vhost = vhost!();
    vhost.all_right().await;
    vhost.exchange("shop.direct", "direct", &json!({})).await;
    vhost.bind("shop.direct", "q/inventory", "inventory.reserve").await;
    vhost.bind("shop.direct", "q/inventory", "inventory.release").await;
    vhost.bind("shop.direct", "q/shipping", "shipping.book").await;
    vhost.consume(&["inventory", "shipping"]).await;
    let order = ORDER.replace("shop.commands", "shop.direct");
    let said = vhost.check(&order).await;
    insta::assert_snapshot!(said.out);
    let verified = vhost.check_with(&order, &[("SNORRI__BROKER__VERIFY_ONLY", "true")]).await;
    assert_eq!((verified.code, verified.out.ends_with(NOTHING_WRONG)), (0, true), "{}", verified.out);
    vhost.gone().await;
}

#[tokio::test]
async fn events_need_their_exchanges() {
    let vhost = vhost!();
    vhost.all_right().await;
    vhost.consume(&["inventory", "shipping"]).await;
    let order = ORDER.replace(
        "steps:\n",
        "start:\n  - { event: order.placed, exchange: web.events }\nsteps:\n  \
         - { publish: order.begun, exchange: shop.events }\n  \
         - name: paid\n    wait: { event: payment.done, exchange: bank.events, correlate: \"${ event.id }\" }\n    timeout: 1h\n",
    );
    let said = vhost.check(&order).await;
    let told: Vec<_> = said.out.lines().filter(|line| line.contains("× order: ")).map(str::trim).collect();
    insta::assert_snapshot!(told.join("\n"));
    vhost.gone().await;
}

#[tokio::test]
async fn an_api_that_does_not_answer_as_it_should_is_told() {
    let vhost = vhost!();
    let url = "SNORRI_MANAGEMENT_URL";
    let said = vhost.check_with(ORDER, &[(url, "http://127.0.0.1:9")]).await;
    insta::assert_snapshot!(said.err);
    assert_eq!(said.code, 6);
    let said = vhost.check_with(ORDER, &[(url, &vhost.api.replace("guest:guest", "guest:wrong"))]).await;
    insta::assert_snapshot!(vhost.hidden(&said.err));
    assert_eq!(said.code, 5);
    let said =
        vhost.check_with(ORDER, &[("SNORRI__BROKER__URL", "amqp://guest:guest@127.0.0.1/nowhere")]).await;
    insta::assert_snapshot!(vhost.hidden(&said.err));
    assert_eq!(said.code, 3);
    let said = vhost.check_with(ORDER, &[("SNORRI__BROKER__URL", "local")]).await;
    insta::assert_snapshot!(said.err);
    assert_eq!(said.code, 2);
    vhost.gone().await;
}
