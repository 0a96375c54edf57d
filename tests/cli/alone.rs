//! The command line without a server.

use super::terminal::Terminal;

const REMOTE_COMMANDS: [&str; 22] = [
    "start",
    "list",
    "show",
    "watch",
    "wait",
    "top",
    "cancel",
    "pause",
    "resume",
    "retry",
    "resolve",
    "skip",
    "rollback",
    "abandon",
    "restart",
    "signal",
    "migrate",
    "bulk",
    "definitions",
    "dead-letters",
    "rotate-keys",
    "audit",
];

#[tokio::test]
async fn every_command_has_a_help_with_examples() {
    let terminal = Terminal::alone();
    let all = terminal.ok("snorri --help").await;
    for command in REMOTE_COMMANDS.into_iter().chain([
        "demo",
        "check",
        "test",
        "graph",
        "simulate",
        "explain",
        "diff",
        "schema",
        "serve",
        "config",
        "completions",
    ]) {
        assert!(all.contains(&format!("\n  {command} ")), "{command} is in the list");
        let help = terminal.ok(&format!("snorri {command} --help")).await;
        assert!(help.contains("Examples:\n  snorri"), "{command} has examples:\n{help}");
        assert!(!help.contains("VERB"), "{help}");
    }
    for command in REMOTE_COMMANDS {
        let help = terminal.ok(&format!("snorri {command} --help")).await;
        assert!(help.contains("Exit codes:"), "{command} lists its exit codes");
        assert!(
            help.contains("--server <URL>") && help.contains("[env: SNORRI_SERVER"),
            "{command}:\n{help}"
        );
    }
}

#[tokio::test]
async fn a_token_is_not_in_any_help() {
    let terminal = Terminal::alone();
    let help = terminal.ok("SNORRI_TOKEN=very-secret snorri list --help").await;
    assert!(!help.contains("very-secret"), "{help}");
}

#[tokio::test]
async fn completions_are_made_for_every_shell() {
    let terminal = Terminal::alone();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = terminal.ok(&format!("snorri completions {shell}")).await;
        assert!(script.contains("dead-letters"), "{shell}");
    }
    terminal.ok("snorri completions bash | head -1").await;
}

#[tokio::test]
async fn wrong_usage_is_2_and_suggests_what_to_write() {
    let terminal = Terminal::alone();
    let wrong = [
        ("snorri list --status sick", "stuck"),
        ("snorri explain E0333", "did you mean E03"),
        ("snorri show somewhere", "DEFINITION/KEY"),
        ("snorri retry order/o-1", "--reason"),
        ("snorri resolve order/o-1 --step ship --reason x", "--outcome"),
        ("snorri start", "<DEFINITION>"),
        ("snorri start order --input '{'", "not JSON"),
        ("snorri signal order/o-1 go --payload nonsense", "not JSON"),
        ("snorri bulk migrate --reason x", "--to"),
        ("snorri list --server nowhere", "http://host:port"),
        ("snorri list --server ftp://localhost", "http://host:port"),
        ("snorri list --profile elsewhere", "no profile `elsewhere`"),
        ("snorri top --server http://127.0.0.1:9", "snorri list"),
    ];
    for (line, help) in wrong {
        let output = terminal.run(line).await.expect(2);
        assert!(output.err.contains(help), "{line}: {}", output.err);
        assert!(output.out.is_empty(), "{line}: {}", output.out);
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_6() {
    let terminal = Terminal::alone();
    for line in ["snorri list", "snorri show order/o-1", "snorri watch order/o-1", "snorri audit"] {
        let output = terminal.run(&format!("{line} --server http://127.0.0.1:9")).await.expect(6);
        assert!(output.err.contains("no answer from http://127.0.0.1:9"), "{}", output.err);
        assert!(output.err.contains("help: check that `snorri serve` runs there"), "{}", output.err);
        assert!(!output.err.contains('\u{1b}'), "no colours where there is no terminal");
    }
    let output = terminal.run("snorri list --server http://127.0.0.1:9 --color always").await.expect(6);
    assert!(output.err.contains('\u{1b}'), "colours where they are asked for");
}

#[tokio::test]
async fn profiles_select_the_server() {
    let terminal = Terminal::alone();
    terminal.write("config/snorri/token", "secret\n");
    terminal.write(
        "config/snorri/cli.toml",
        "[default]\nserver = 'http://127.0.0.1:7'\n\n[production]\nserver = 'http://127.0.0.1:9'\ntoken_file = 'token'\n\n\
         [broken]\nserver = 'http://127.0.0.1:9'\ntoken_file = 'nothing-here'\n",
    );
    let cases = [
        ("snorri list", "http://127.0.0.1:7"),
        ("snorri list --profile production", "http://127.0.0.1:9"),
        ("SNORRI_PROFILE=production snorri list", "http://127.0.0.1:9"),
        ("snorri list --server http://127.0.0.1:11", "http://127.0.0.1:11"),
        ("SNORRI_SERVER=http://127.0.0.1:11 snorri dead-letters list", "http://127.0.0.1:11"),
    ];
    for (line, server) in cases {
        let output = terminal.run(line).await.expect(6);
        assert!(output.err.contains(&format!("no answer from {server}")), "{line}: {}", output.err);
    }
    let output = terminal.run("snorri list --profile staging").await.expect(2);
    assert!(output.err.contains("broken, default, production"), "{}", output.err);
    let output = terminal.run("snorri list --profile broken").await.expect(1);
    assert!(output.err.contains("nothing-here"), "{}", output.err);
    terminal
        .write("config/snorri/cli.toml", "[default]\nserver = 'http://127.0.0.1:7'\ntoken = 'in the open'\n");
    let output = terminal.run("snorri list").await.expect(2);
    assert!(output.err.contains("cli.toml") && output.err.contains("token"), "{}", output.err);
}

#[tokio::test]
async fn a_configuration_is_checked_as_serve_would() {
    let terminal = Terminal::alone();
    let sagas = concat!(env!("CARGO_MANIFEST_DIR"), "/sagas");
    let check = format!("snorri config check --definitions {sagas} --config snorri.toml");
    terminal.write("snorri.toml", "[broker]\nurl = 'local'\n");
    let out = terminal.ok(&check).await;
    assert!(out.contains("the configuration is valid, with"), "{out}");
    let wrong = [
        ("[engine]\nlance = 3\n", "lance"),
        ("[log]\nfilter = 'info,snorri=='\n", "log.filter"),
        ("[http]\nlisten = '0.0.0.0:7070'\n", "authentication"),
    ];
    for (text, expected) in wrong {
        terminal.write("snorri.toml", text);
        let output = terminal.run(&check).await.expect(1);
        assert!(output.err.contains(expected), "{expected}: {}", output.err);
    }
    terminal.write("snorri.toml", "");
    terminal.write("definitions/order.yaml", "saga: order\n");
    let output =
        terminal.run("snorri config check --definitions definitions --config snorri.toml").await.expect(1);
    let err = &output.err;
    assert!(err.contains("order.yaml") && err.contains("1 definition not valid"), "{err}");
}

#[tokio::test]
async fn a_definition_can_be_checked_without_a_server() {
    let terminal = Terminal::alone();
    let order = concat!(env!("CARGO_MANIFEST_DIR"), "/sagas/order.yaml");
    terminal.ok(&format!("snorri definitions check --offline {order}")).await;
    terminal.write("broken.yaml", "saga: broken\nversion: one\n");
    let output = terminal.run("snorri definitions check --offline broken.yaml").await.expect(1);
    assert!(output.err.contains("broken.yaml"), "{}", output.err);
}

#[tokio::test]
async fn all_commands_that_check_definitions_find_the_same() {
    let terminal = Terminal::alone();
    terminal.write("snorri.toml", "[broker]\nurl = 'local'\n");
    terminal.write(
        "sagas/order.yaml",
        "\
saga: order
version: 1
defaults: { exchange: shop, retry: { attempts: 1 } }
steps:
  - parallel:
      - - { name: ship, command: parcel.book, pivot: true }
      - - { name: charge, command: payment.charge, compensate: { command: payment.refund } }
",
    );
    let lines = [
        "snorri check sagas",
        "snorri config check --config snorri.toml --definitions sagas",
        "snorri definitions check --offline sagas/order.yaml",
    ];
    for line in lines {
        let output = terminal.run(line).await.expect(1);
        let text = format!("{}{}", output.out, output.err);
        assert!(text.contains("E0602"), "{line}: {text}");
    }
}
