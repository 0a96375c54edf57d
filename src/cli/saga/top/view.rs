//! The contents and the selection of the overview.

use std::collections::BTreeMap;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Row as Cells, Table, TableState};
use uuid::Uuid;

use super::{Key, Seen};
use crate::cli::output::{tame, time};
use snorri_api::sagas::{Counts, Incident, SagaSummary};
use snorri_core::Status;

const STATUSES: [Status; 6] = [
    Status::Running,
    Status::Compensating,
    Status::Stuck,
    Status::Completed,
    Status::Compensated,
    Status::Abandoned,
];
/// Number of lines of a page.
const PAGE: u16 = 15;

/// A saga in a list.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub id: Uuid,
    name: String,
    status: Status,
    paused: bool,
    changed: String,
    /// The incident of a stuck saga.
    pub note: String,
}

impl From<SagaSummary> for Row {
    fn from(saga: SagaSummary) -> Self {
        let key = saga.key.map_or_else(|| saga.id.to_string(), |key| tame(&key));
        Self {
            id: saga.id,
            name: format!("{}/{key}", saga.definition),
            status: saga.status,
            paused: saga.paused,
            changed: time(&saga.changed_at),
            note: String::new(),
        }
    }
}

/// Formats an incident in one line.
pub(super) fn incident(incident: &Incident) -> String {
    let step = incident.step.as_deref().map(|step| format!("{step}: ")).unwrap_or_default();
    tame(&format!("{step}{} {}", incident.code, incident.message))
}

#[derive(Debug, Default)]
pub(super) struct View {
    seen: Seen,
    /// The index of the selected saga, through both lists.
    at: usize,
    opened: Option<OpenedSaga>,
    /// Why the shown data is outdated.
    pub trouble: Option<String>,
}

/// An opened saga.
#[derive(Debug)]
struct OpenedSaga {
    text: String,
    scroll: u16,
}

impl View {
    /// Replaces the data. The same saga stays selected.
    pub fn refresh(&mut self, seen: Seen) {
        let chosen = self.chosen();
        self.seen = seen;
        self.trouble = None;
        let found = self.rows().position(|row| Some(row.id) == chosen);
        self.at = found.unwrap_or(self.at).min(self.rows().count().saturating_sub(1));
    }

    pub fn chosen(&self) -> Option<Uuid> {
        if self.opened.is_some() {
            return None;
        }
        self.rows().nth(self.at).map(|row| row.id)
    }

    pub fn open(&mut self, text: &str) {
        self.opened = Some(OpenedSaga { text: text.to_owned(), scroll: 0 });
    }

    pub fn press(&mut self, key: Key) {
        let last = self.rows().count().saturating_sub(1);
        match (&mut self.opened, key) {
            (opened, Key::Back) => *opened = None,
            (Some(opened), key) => {
                let most = u16::try_from(opened.text.lines().count()).unwrap_or(u16::MAX).saturating_sub(1);
                let scroll = match key {
                    Key::Up => opened.scroll.saturating_sub(1),
                    Key::Down => opened.scroll.saturating_add(1),
                    Key::PageUp => opened.scroll.saturating_sub(PAGE),
                    Key::PageDown => opened.scroll.saturating_add(PAGE),
                    _ => opened.scroll,
                };
                opened.scroll = scroll.min(most);
            }
            (None, Key::Up) => self.at = self.at.saturating_sub(1),
            (None, Key::Down) => self.at = (self.at + 1).min(last),
            (None, Key::PageUp) => self.at = self.at.saturating_sub(usize::from(PAGE)),
            (None, Key::PageDown) => self.at = (self.at + usize::from(PAGE)).min(last),
            (None, _) => {}
        }
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.seen.stuck.iter().chain(&self.seen.recent)
    }

    pub fn draw(&self, frame: &mut Frame<'_>) {
        let [main, foot] = Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(frame.area());
        match &self.opened {
            Some(opened) => {
                let text = Paragraph::new(opened.text.as_str()).scroll((opened.scroll, 0));
                frame.render_widget(text.block(Block::bordered().title(" Saga ")), main);
            }
            None => self.draw_lists(frame, main),
        }
        let keys = if self.opened.is_some() {
            "esc back  ↑↓ scroll  q quit"
        } else {
            "↑↓ choose  enter show  q quit"
        };
        let mut line = vec![Span::styled(keys, Style::new().add_modifier(Modifier::DIM))];
        if let Some(trouble) = &self.trouble {
            line.push(Span::styled(format!("  {trouble}"), Style::new().fg(Color::Red)));
        }
        frame.render_widget(Line::from(line), foot);
    }

    fn draw_lists(&self, frame: &mut Frame<'_>, area: Rect) {
        let counted = count(&self.seen.counts);
        let height = |rows: usize| u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2);
        let stuck = height(self.seen.stuck.len().max(1)).min(area.height / 3).max(3);
        let most = area.height.saturating_sub(stuck) / 2;
        let counts = height(counted.len() + 1).min(most.max(4));
        let heights = [Constraint::Length(counts), Constraint::Length(stuck), Constraint::Min(3)];
        let [top, middle, bottom] = Layout::vertical(heights).areas(area);
        frame.render_widget(counts_table(counted), top);
        let split = self.seen.stuck.len();
        let (stuck, recent) = (self.at < split, self.at.checked_sub(split));
        draw_list(frame, middle, " Stuck ", &self.seen.stuck, stuck.then_some(self.at));
        draw_list(frame, bottom, " Recent ", &self.seen.recent, recent);
    }
}

/// The numbers of sagas by definition and status.
fn count(counts: &Counts) -> BTreeMap<&str, [u64; STATUSES.len()]> {
    let mut found: BTreeMap<&str, [u64; STATUSES.len()]> = BTreeMap::new();
    for count in &counts.counts {
        let of = found.entry(&count.definition).or_default();
        if let Some(index) = STATUSES.iter().position(|status| *status == count.status) {
            of[index] += count.count;
        }
    }
    found
}

fn counts_table<'a>(counts: BTreeMap<&'a str, [u64; STATUSES.len()]>) -> Table<'a> {
    let rows = counts.into_iter().map(|(definition, counts)| {
        let cell = |(status, count): (Status, u64)| {
            let style = if count > 0 {
                Style::new().fg(color(status))
            } else {
                Style::new().add_modifier(Modifier::DIM)
            };
            Line::styled(count.to_string(), style)
        };
        let counts = STATUSES.into_iter().zip(counts).map(cell);
        Cells::new(std::iter::once(Line::raw(definition)).chain(counts).collect::<Vec<_>>())
    });
    let names = std::iter::once("definition").chain(STATUSES.iter().map(|status| status.as_str()));
    let widths = std::iter::once(Constraint::Min(16)).chain(STATUSES.iter().map(|_| Constraint::Length(13)));
    Table::new(rows.collect::<Vec<_>>(), widths)
        .header(Cells::new(names.collect::<Vec<_>>()).style(Style::new().add_modifier(Modifier::DIM)))
        .block(Block::bordered().title(" Sagas "))
}

fn draw_list(frame: &mut Frame<'_>, area: Rect, title: &'static str, rows: &[Row], chosen: Option<usize>) {
    let row = |row: &Row| {
        let paused = if row.paused { " (paused)" } else { "" };
        let status =
            Span::styled(format!("{}{paused}", row.status.as_str()), Style::new().fg(color(row.status)));
        let note = Line::raw(row.note.clone());
        Cells::new(vec![
            Line::raw(row.name.clone()),
            Line::from(status),
            Line::raw(row.changed.clone()),
            note,
        ])
    };
    let widths = [Constraint::Fill(1), Constraint::Length(22), Constraint::Length(20), Constraint::Fill(2)];
    let table = Table::new(rows.iter().map(row).collect::<Vec<_>>(), widths)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::bordered().title(title));
    let mut state = TableState::default().with_selected(chosen);
    frame.render_stateful_widget(table, area, &mut state);
}

fn color(status: Status) -> Color {
    match status {
        Status::Completed => Color::Green,
        Status::Running => Color::Cyan,
        Status::Compensating | Status::Compensated => Color::Yellow,
        Status::Stuck | Status::Abandoned => Color::Magenta,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn row(key: &str, status: Status) -> Row {
        let (id, changed) =
            (Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes()), "2026-01-31 08:15:00".to_owned());
        Row {
            id,
            name: format!("order/{key}"),
            status,
            paused: false,
            changed,
            note: "ship: no_carrier".to_owned(),
        }
    }

    fn shown(view: &View) -> String {
        let mut terminal = Terminal::new(TestBackend::new(120, 24)).expect("a terminal");
        terminal.draw(|frame| view.draw(frame)).expect("drawn");
        terminal.backend().to_string()
    }

    #[test]
    fn what_is_chosen_stays_chosen_while_the_lists_change() {
        let mut view = View::default();
        assert!(shown(&view).contains("Stuck"), "also without any saga");
        let recent = || vec![row("b", Status::Running), row("c", Status::Completed)];
        view.refresh(Seen { stuck: vec![row("a", Status::Stuck)], recent: recent(), ..Seen::default() });
        assert_eq!(view.chosen(), Some(row("a", Status::Stuck).id));
        view.press(Key::Down);
        let chosen = view.chosen();
        assert_eq!(chosen, Some(row("b", Status::Running).id));
        let stuck = vec![row("d", Status::Stuck), row("a", Status::Stuck)];
        view.refresh(Seen { stuck, recent: recent(), ..Seen::default() });
        assert_eq!(view.chosen(), chosen);
        view.press(Key::PageDown);
        assert_eq!(view.chosen(), Some(row("c", Status::Completed).id), "the last");
        let screen = shown(&view);
        assert!(screen.contains("order/a") && screen.contains("ship: no_carrier"), "{screen}");
        view.refresh(Seen::default());
        assert_eq!(view.chosen(), None);
    }

    #[test]
    fn an_opened_saga_is_scrolled_and_left() {
        let mut view = View::default();
        view.open("one\ntwo\nthree");
        view.press(Key::Down);
        let screen = shown(&view);
        assert!(!screen.contains("one") && screen.contains("two"), "{screen}");
        view.press(Key::PageDown);
        assert!(shown(&view).contains("three"), "not past the end");
        view.press(Key::Back);
        view.trouble = Some("no answer".to_owned());
        assert!(shown(&view).contains("no answer"));
    }
}
