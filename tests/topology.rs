//! `snorri check --topology` on a real RabbitMQ, with a virtual host for each test.
//!
//! The management API lists declarations at once, but a consumer only with the next statistics of the broker: a test with a
//! consumer waits until it is listed.

#[path = "topology/vhost.rs"]
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

/// A virtual host. Ends the test if there is no management API.
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
async fn nothing_is_declared() {
    let vhost = vhost!();
    let output = vhost.check(ORDER).await;
    insta::assert_snapshot!(output.out);
    assert_eq!(output.code, 1);
    vhost.gone().await;
}

#[tokio::test]
async fn an_exchange_and_nothing_bound_to_it() {
    let vhost = vhost!();
    vhost.exchange("shop.commands", "topic", &json!({})).await;
    vhost.queue("inventory", &json!({})).await;
    vhost.bind("shop.commands", "q/inventory", "inventory.stock.*").await;
    let output = vhost.check(ORDER).await;
    insta::assert_snapshot!(output.out);
    assert_eq!(output.code, 1);
    vhost.gone().await;
}

#[tokio::test]
async fn bound_without_a_consumer() {
    let vhost = vhost!();
    vhost.all_right().await;
    let output = vhost.check(ORDER).await;
    insta::assert_snapshot!(output.out);
    assert_eq!(output.code, 1);
    vhost.gone().await;
}

#[tokio::test]
async fn all_is_right() {
    let vhost = vhost!();
    vhost.all_right().await;
    vhost.consume(&["inventory", "shipping"]).await;
    let output = vhost.check(ORDER).await;
    assert_eq!((output.code, output.err.as_str()), (0, ""));
    assert!(output.out.ends_with(NOTHING_WRONG), "{}", output.out);
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
    let output = vhost.check(ORDER).await;
    insta::assert_snapshot!(output.out);
    assert_eq!(output.code, 1);
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
    let output = vhost.check(ORDER).await;
    insta::assert_snapshot!(output.out);
    assert_eq!(output.code, 1);
    vhost.policy(&json!({"delivery-limit": 5, "dead-letter-exchange": "shop.dead"})).await;
    let output = vhost.check(ORDER).await;
    assert_eq!((output.code, output.out.ends_with(NOTHING_WRONG)), (0, true), "{}", output.out);
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
    let output = vhost.check(ORDER).await;
    insta::assert_snapshot!(output.out);
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
    let output = vhost.check(&order).await;
    insta::assert_snapshot!(output.out);
    let verified = vhost.check_with(&order, &[("SNORRI__BROKER__DECLARE_TOPOLOGY", "false")]).await;
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
    let output = vhost.check(&order).await;
    let errors = output.out.lines().filter(|line| line.contains("× order: ")).map(str::trim);
    let errors: Vec<_> = errors.collect();
    insta::assert_snapshot!(errors.join("\n"));
    vhost.gone().await;
}

#[tokio::test]
async fn an_unusable_management_api_is_reported() {
    let vhost = vhost!();
    let url = "SNORRI_MANAGEMENT_URL";
    let output = vhost.check_with(ORDER, &[(url, "http://127.0.0.1:9")]).await;
    insta::assert_snapshot!(output.err);
    assert_eq!(output.code, 6);
    let output = vhost.check_with(ORDER, &[(url, &vhost.api.replace("guest:guest", "guest:wrong"))]).await;
    insta::assert_snapshot!(vhost.hidden(&output.err));
    assert_eq!(output.code, 5);
    let output =
        vhost.check_with(ORDER, &[("SNORRI__BROKER__URL", "amqp://guest:guest@127.0.0.1/nowhere")]).await;
    insta::assert_snapshot!(vhost.hidden(&output.err));
    assert_eq!(output.code, 3);
    let output = vhost.check_with(ORDER, &[("SNORRI__BROKER__URL", "local")]).await;
    insta::assert_snapshot!(output.err);
    assert_eq!(output.code, 2);
    vhost.gone().await;
}
