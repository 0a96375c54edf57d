//! `snorri top`: shows a live overview in the terminal.

mod view;

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args as ClapArgs;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use reqwest::Method;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use self::view::{Row, View};
use crate::cli::failure::{EXIT_CODES, Failure};
use crate::cli::remote::{Remote, Session};
use crate::cli::saga::show;
use snorri_api::sagas::{Counts, PageQuery, Saga, SagaPage, SagaQuery};
use snorri_core::Status;

/// Maximum number of stuck sagas, and of others.
const MOST: u32 = 30;
/// Number of stuck sagas whose incidents are fetched, with one request each.
const INCIDENTS: usize = 10;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Keys: up and down choose a saga, enter shows it, escape goes back, q quits.

Examples:
  snorri top
  snorri top --interval 10s --profile production

{EXIT_CODES}"))]
pub struct Args {
    /// The interval of refreshes
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    interval: Duration,
    #[command(flatten)]
    remote: Remote,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let session = args.remote.open()?;
    if !std::io::stdout().is_terminal() {
        return Err(Failure::usage("`snorri top` needs a terminal; use `snorri list` otherwise"));
    }
    // Before the screen is switched, so that a failure is printed on the normal screen.
    let mut view = View::default();
    view.refresh(look(&session).await?);
    let mut terminal = ratatui::try_init()?;
    let ended =
        watch(&session, &mut view, &mut terminal, args.interval.max(Duration::from_millis(200))).await;
    ratatui::restore();
    ended?;
    Ok(())
}

/// A command of the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Enter,
    Back,
    Quit,
    Redraw,
}

async fn watch(
    session: &Session,
    view: &mut View,
    terminal: &mut ratatui::DefaultTerminal,
    interval: Duration,
) -> Result<(), Failure> {
    let (sender, mut keys) = mpsc::channel(16);
    // Reading the keyboard blocks; the thread ends with the process.
    std::thread::spawn(move || while read_key().is_none_or(|key| sender.blocking_send(key).is_ok()) {});
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        terminal.draw(|frame| view.draw(frame))?;
        tokio::select! {
            key = keys.recv() => match key {
                None | Some(Key::Quit) => return Ok(()),
                Some(Key::Enter) => open(session, view).await,
                Some(key) => view.press(key),
            },
            _ = ticks.tick() => match look(session).await {
                Ok(seen) => view.refresh(seen),
                // The last data stays, with the reason of the failure.
                Err(failure) => view.trouble = Some(failure.brief()),
            },
        }
    }
}

/// Reads a key. `None`: the key has no command. An error quits.
fn read_key() -> Option<Key> {
    match event::read() {
        Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Some(match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Quit,
            KeyCode::Char('q') => Key::Quit,
            KeyCode::Up | KeyCode::Char('k') => Key::Up,
            KeyCode::Down | KeyCode::Char('j') => Key::Down,
            KeyCode::PageUp => Key::PageUp,
            KeyCode::PageDown | KeyCode::Char(' ') => Key::PageDown,
            KeyCode::Enter | KeyCode::Right => Key::Enter,
            KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => Key::Back,
            _ => return None,
        }),
        Ok(Event::Resize(..)) => Some(Key::Redraw),
        Ok(_) => None,
        Err(_) => Some(Key::Quit),
    }
}

/// Shows the selected saga.
async fn open(session: &Session, view: &mut View) {
    let Some(id) = view.chosen() else { return };
    let text = async {
        let mut saga: Saga = session.client.get(&["sagas", &id.to_string()]).await?.read()?;
        let entries = show::journal(session, &id.to_string()).await?;
        show::sort_steps(&mut saga, &entries);
        Ok::<_, Failure>(show::overview(&saga, &session.flags) + &show::render_saga(&saga, &entries))
    };
    match text.await {
        Ok(text) => view.open(&anstream::adapter::strip_str(&text).to_string()),
        Err(failure) => view.trouble = Some(failure.brief()),
    }
}

/// The current data of the server.
#[derive(Debug, Default)]
struct Seen {
    counts: Counts,
    stuck: Vec<Row>,
    recent: Vec<Row>,
}

async fn look(session: &Session) -> Result<Seen, Failure> {
    let counts: Counts = session.client.get(&["sagas", "counts"]).await?.read()?;
    let stuck = page(session, Some(Status::Stuck)).await?;
    let mut recent = page(session, None).await?.sagas;
    recent.retain(|saga| saga.status != Status::Stuck);
    recent.sort_by(|one, other| other.changed_at.cmp(&one.changed_at));
    let mut rows = Vec::new();
    for (index, saga) in stuck.sagas.into_iter().enumerate() {
        let mut row = Row::from(saga);
        if index < INCIDENTS {
            let saga = session.client.get(&["sagas", &row.id.to_string()]).await?.read::<Saga>()?;
            row.note = saga.incidents.first().map(view::incident).unwrap_or_default();
        }
        rows.push(row);
    }
    Ok(Seen { counts, stuck: rows, recent: recent.into_iter().map(Row::from).collect() })
}

async fn page(session: &Session, status: Option<Status>) -> Result<SagaPage, Failure> {
    let query = SagaQuery { status, ..SagaQuery::default() };
    let page = PageQuery { limit: Some(MOST), after: None };
    let request = session.client.request(Method::GET, &["sagas"]).query(&query).query(&page);
    session.client.answer(request).await?.read()
}
