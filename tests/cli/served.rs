//! The command line with a server on the embedded default.

use serde_json::json;

use super::terminal::Terminal;

#[tokio::test]
async fn sagas_are_started_found_and_shown() {
    let terminal = Terminal::with_demo().await;
    let input = r#"'{"orderId": "o-1", "amount": 5}'"#;
    let started = terminal.ok(&format!("snorri start order --input {input}")).await;
    assert!(started.contains("started order") && started.contains("(key o-1)"), "{started}");
    let again = terminal.ok(&format!("snorri start order --input {input} --output json")).await;
    assert!(again.contains(r#""created":false"#), "{again}");
    let other = r#"'{"orderId": "o-1", "amount": 6}'"#;
    let output = terminal.run(&format!("snorri start order --input {other}")).await.expect(4);
    assert!(output.err.contains("(key_in_use)") && output.err.contains("help:"), "{}", output.err);
    let output = terminal.run(r#"snorri start order --input '{"orderId": "o-2"}'"#).await.expect(4);
    assert!(output.err.contains("(invalid_input)") && output.err.contains("/input"), "{}", output.err);
    terminal.run("snorri start nothing").await.expect(3);

    assert!(terminal.ok("snorri wait order/o-1").await.starts_with("completed"));
    let list = terminal.ok("snorri list --key o-1 --definition order").await;
    assert!(list.contains("order@1") && list.contains("completed"), "{list}");
    let list = terminal.run("snorri list --all --output json").await.expect(0).json();
    assert_eq!(list["sagas"].as_array().expect("sagas").len(), 5);
    let three = terminal.run("snorri list --limit 3 --output json").await.expect(0).json();
    assert_eq!(three["sagas"].as_array().expect("sagas").len(), 3);
    assert!(three["next"].is_string());

    let shown = terminal.ok("snorri show order/o-1").await;
    for part in ["order o-1  completed", "Steps", "reserve", "Journal", "▶ started", "■ completed"] {
        assert!(shown.contains(part), "{part}:\n{shown}");
    }
    let journal = terminal.run("snorri show order/o-1 --journal --output json").await.expect(0).json();
    assert_eq!(journal["entries"][0]["seq"], 1);
    let watched = terminal.ok("snorri watch order/o-1").await;
    assert!(watched.contains("▶ started") && watched.contains("■ completed"), "{watched}");
    terminal.run("snorri show order/nothing").await.expect(3);
}

#[tokio::test]
async fn the_status_of_a_saga_is_the_exit_code_of_wait() {
    let terminal = Terminal::with_demo().await;
    terminal.run("snorri wait order/o-1001").await.expect(0);
    terminal.run("snorri wait order/o-1002").await.expect(10);
    terminal.run("snorri wait order/o-1004").await.expect(12);
    terminal.run("snorri abandon order/o-1004 --reason 'settled by phone'").await.expect(0);
    terminal.run("snorri wait order/o-1004").await.expect(11);
    let start =
        r#"snorri start order --input '{"orderId": "o-1", "amount": 1}' && snorri pause order/o-1 -r x"#;
    terminal.ok(start).await;
    terminal.run("snorri wait order/o-1 --timeout 0s").await.expect(13);
}

#[tokio::test]
async fn a_preview_changes_nothing_and_a_stale_view_is_refused() {
    let terminal = Terminal::with_demo().await;
    terminal.run("snorri wait order/o-1004").await.expect(12);
    let before = terminal.run("snorri show order/o-1004 --output json").await.expect(0).json();
    let resolve =
        "snorri resolve order/o-1004 --step reserve --outcome succeeded --reason 'unpacked by hand'";
    let preview = terminal.run(&format!("{resolve} --preview --output json")).await.expect(0).json();
    assert_eq!(preview["preview"], true);
    assert_eq!(terminal.run("snorri show order/o-1004 --output json").await.expect(0).json(), before);
    let output = terminal.run(&format!("{resolve} --if-match 1")).await.expect(4);
    assert!(output.err.contains("(changed)"), "{}", output.err);

    let seq = before["seq"].as_u64().expect("a number");
    let done = terminal.run(&format!("{resolve} --if-match {seq} --output json")).await.expect(0).json();
    for same in ["seq", "status", "messages"] {
        assert_eq!(done[same], preview[same], "{same}");
    }
    terminal.run("snorri wait order/o-1004").await.expect(10);
    let audit = terminal.run("snorri audit --saga order/o-1004 --output json").await.expect(0).json();
    assert_eq!(audit["entries"][0]["actor"], "ann");
    assert_eq!(audit["entries"][0]["reason"], "unpacked by hand");
    assert!(terminal.ok("snorri audit").await.contains("unpacked by hand"));
    terminal.run("snorri retry order/o-1004 --reason x").await.expect(4);
}

#[tokio::test]
async fn a_paused_saga_stands_still() {
    let terminal = Terminal::with_demo().await;
    terminal.run("snorri wait order/o-1004").await.expect(12);
    let paused = terminal.ok("snorri pause order/o-1004 --reason 'the warehouse burns'").await;
    assert!(paused.contains("Done."), "{paused}");
    assert!(terminal.ok("snorri show order/o-1004").await.contains("stuck, paused"));
    assert!(terminal.ok("snorri list --paused").await.contains("(paused)"));
    let output = terminal.run("snorri skip order/o-1004 --step reserve -r x").await.expect(4);
    assert!(output.err.contains("(paused)"), "{}", output.err);
    terminal.ok("snorri resume order/o-1004 --reason 'the fire is out'").await;
    terminal.ok("snorri skip order/o-1004 --step reserve -r 'it is gone'").await;
    terminal.run("snorri wait order/o-1004").await.expect(10);
    let shown = terminal.ok("snorri show order/o-1004").await;
    assert!(shown.contains("☞ pause by ann: the warehouse burns"), "{shown}");
}

#[tokio::test]
async fn many_are_started_from_a_file() {
    let terminal = Terminal::with_demo().await;
    let line = |number: u32| json!({"definition": "order", "input": {"orderId": format!("n-{number}"), "amount": 1}});
    let mut lines: Vec<_> = (0..500).map(|number| line(number).to_string()).collect();
    lines.insert(300, String::new());
    lines.insert(301, r#"{"definition": "order", "input": {}}"#.to_owned());
    terminal.write("orders.ndjson", &lines.join("\n"));
    let output = terminal.run("snorri start --from-file orders.ndjson").await.expect(1);
    assert!(output.out.contains("500 started, 1 refused"), "{}", output.out);
    assert!(output.err.contains("line 302:"), "{}", output.err);
    let output = terminal.run("snorri start --from-file - --output json < orders.ndjson").await.expect(1);
    assert_eq!(output.out.lines().filter(|line| line.contains(r#""created":false"#)).count(), 500);
    assert!(output.out.contains(r#"{"line":302,"problem""#), "{}", output.out);
}

#[tokio::test]
async fn bulk_work_is_previewed_first() {
    let terminal = Terminal::with_demo().await;
    terminal.run("snorri wait order/o-1003").await.expect(12);
    let retry = "snorri bulk retry --definition order --status stuck --reason 'again'";
    let dry = terminal.ok(&format!("{retry} --dry-run")).await;
    assert!(dry.contains("Dry run: of 2 sagas, 2 would change."), "{dry}");
    let output = terminal.run(retry).await.expect(2);
    assert!(output.err.contains("--yes"), "{}", output.err);
    assert!(terminal.ok(&format!("{retry} --yes")).await.contains("2 changed"));
    // The carrier is back; the parcel is still sealed.
    terminal.run("snorri wait order/o-1003").await.expect(0);
    terminal.run("snorri wait order/o-1004").await.expect(12);
    let none = terminal.ok("snorri bulk cancel --key none --definition order --reason x").await;
    assert!(none.contains("of 0 sagas, 0 would change"), "{none}");
}

#[tokio::test]
async fn definitions_come_and_go() {
    let terminal = Terminal::with_demo().await;
    let order =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sagas/order.yaml")).expect("a file");
    terminal.write(
        "order.yaml",
        &order.replace("version: 1", "version: 2").replace("timeout: 1h", "timeout: 2h"),
    );
    terminal.ok("snorri definitions check order.yaml").await;
    let output = terminal.run("snorri definitions show order --output json").await.expect(0).json();
    assert_eq!(output["latest"], 1);
    let out = terminal.ok("snorri definitions register order.yaml --reason 'slower'").await;
    assert!(out.contains("registered order@2"), "{out}");
    let out = terminal.ok("snorri definitions register order.yaml").await;
    assert!(out.contains("already registered: order@2"), "{out}");
    terminal.write("other.yaml", &order.replace("version: 1", "version: 2"));
    let output = terminal.run("snorri definitions register other.yaml").await.expect(4);
    assert!(output.err.contains("(definition_changed)"), "{}", output.err);

    assert!(terminal.ok("snorri definitions list").await.contains("order"));
    assert!(terminal.ok("snorri definitions show order").await.contains("active, latest"));
    let diff = terminal.run("snorri definitions diff order 1 2").await;
    assert!([0, 4].contains(&diff.code) && diff.out.contains("order 1 → 2:"), "{diff:?}");
    assert!(terminal.ok("snorri definitions source order 2").await.contains("timeout: 2h"));
    assert!(terminal.ok("snorri definitions input-schema order 1").await.contains("orderId"));
    terminal.ok("snorri definitions deactivate order 2 --reason 'too slow'").await;
    assert!(terminal.ok("snorri definitions show order").await.contains("inactive"));
    terminal.ok("snorri definitions activate order 2 --reason 'after all'").await;

    terminal.run("snorri wait order/o-1003").await.expect(12);
    let preview =
        terminal.run("snorri migrate order/o-1003 --to 2 --reason 'slower' --preview").await.expect(0);
    assert!(preview.out.contains("version 1 → 2: safe; nothing was changed"), "{}", preview.out);
    terminal.ok("snorri migrate order/o-1003 --to 2 --reason 'slower'").await;
    assert!(terminal.ok("snorri list --definition order --version 2").await.contains("o-1003"));
}

#[tokio::test]
async fn a_saga_that_has_ended_is_restarted() {
    let terminal = Terminal::with_demo().await;
    terminal.run("snorri wait order/o-1004").await.expect(12);
    terminal.run("snorri restart order/o-1001 --from nowhere --reason x").await.expect(4);
    let restart = "snorri restart order/o-1001 --from ship --reason 'lost'";
    let output = terminal.run(restart).await.expect(4);
    let err = &output.err;
    assert!(err.contains("--repeat-completed") && err.contains("`ship` completed"), "{err}");
    let output = terminal.run(&format!("{restart} --repeat-completed --preview")).await.expect(0);
    assert!(output.err.contains("warning:") && output.err.contains("ship"), "{}", output.err);
    let started = terminal.run(&format!("{restart} --repeat-completed --output json")).await.expect(0).json();
    assert_eq!(started["repeats"], json!(["ship"]));
    let id = started["id"].as_str().expect("an id").to_owned();
    terminal.run(&format!("snorri wait {id}")).await.expect(0);
    assert!(terminal.ok(&format!("snorri show {id}")).await.contains("restart"));
}

#[tokio::test]
async fn every_journal_entry_is_shown_and_every_command_with_its_id_and_payload() {
    let terminal = Terminal::with_demo().await;
    terminal.run("snorri wait order/o-1003").await.expect(12);
    let saga = terminal.run("snorri show order/o-1003 --output json").await.expect(0).json();
    let shown = terminal.ok("snorri show order/o-1003").await;
    let (_, journal) = shown.split_once("Journal\n").expect("a journal");
    let numbers: std::collections::BTreeSet<u64> = journal
        .lines()
        .map(|line| line.split_whitespace().next().expect("a word").parse().expect("a number"))
        .collect();
    let seq = saga["seq"].as_u64().expect("a number");
    assert_eq!(numbers, (1..=seq).collect(), "{journal}");

    let charge = &saga["steps"].as_array().expect("steps").iter().find(|step| step["step"] == "charge");
    let command = &charge.expect("the step")["commands"][0];
    assert_eq!((&command["name"], &command["direction"]), (&json!("payment.charge"), &json!("forward")));
    assert_eq!(command["payload"]["orderId"], "o-1003", "{command}");
    let id = uuid::Uuid::parse_str(saga["id"].as_str().expect("an id")).expect("a UUID");
    let key = uuid::Uuid::new_v5(&id, b"charge/forward").to_string();
    assert_eq!(command["message_id"], key);
    assert!(shown.contains(&key), "{shown}");
    let payload = command["payload"].to_string();
    assert!(shown.contains(&payload), "{shown}");
}

#[tokio::test]
async fn dead_letters_are_listed() {
    let terminal = Terminal::with_demo().await;
    let output = terminal.run("snorri dead-letters list").await.expect(0);
    assert!(output.err.contains("no dead letters"), "{}", output.err);
    terminal.run("snorri dead-letters show 0195c2a4-7b3e-7f10-9d6c-2f1d6f0c8a11").await.expect(3);
}

#[tokio::test]
async fn a_missing_or_wrong_token_is_reported() {
    // The hash of `secret`.
    let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let token = format!("[[http.auth.tokens]]\nname = \"eve\"\nrole = \"viewer\"\nsha256 = \"{hash}\"\n");
    let terminal = Terminal::with_server(&token).await;
    let output = terminal.run("snorri list").await.expect(5);
    assert!(output.err.contains("--token-file"), "{}", output.err);
    terminal.run("snorri list --token wrong").await.expect(5);
    terminal.run("SNORRI_TOKEN=secret snorri list").await.expect(0);
    terminal.write("token", "secret\n");
    terminal.run("snorri list --token-file token").await.expect(0);
    terminal.write("config/snorri/token", "secret");
    let server = terminal.server();
    let profile = format!("[default]\nserver = '{server}'\ntoken_file = 'token'\n");
    terminal.write("config/snorri/cli.toml", &profile);
    terminal.run("env -u SNORRI_SERVER snorri list").await.expect(0);
    let output = terminal.run("snorri cancel order/o-1 --reason x --token-file token").await.expect(5);
    assert!(output.err.contains("where: "), "{}", output.err);
}
