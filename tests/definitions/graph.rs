//! Pictures of definitions: those in the documents are up to date, no step is missing, and no boxes overlap.
//!
//! Run with `SNORRI_UPDATE_GRAPHS=1` to render `docs/graphs` again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};
use rstest::rstest;
use snorri_definition::Compiled;
use snorri_verify::graph::{Direction, Options, dot, graph, mermaid, svg};

#[test]
fn the_pictures_in_the_documents_are_up_to_date() {
    for path in shipped() {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let picture = root().join(format!("docs/graphs/{name}.svg"));
        let drawn = draw(&path);
        if std::env::var_os("SNORRI_UPDATE_GRAPHS").is_some() {
            std::fs::write(&picture, &drawn).expect("written");
        }
        let stored = std::fs::read_to_string(&picture).unwrap_or_default();
        assert!(stored == drawn, "{name}: run this with SNORRI_UPDATE_GRAPHS=1, and look at the picture");
    }
}

#[test]
fn every_step_and_every_compensation_is_in_the_picture() {
    for path in all() {
        let compiled = compile(&path);
        let text = draw(&path);
        let document = Document::parse(&text).expect("well-formed");
        let named = |attribute: &str| -> HashSet<String> {
            document.descendants().filter_map(|node| node.attribute(attribute)).map(str::to_owned).collect()
        };
        let (steps, compensated) = (named("data-step"), named("data-compensation"));
        for step in compiled.definition.steps() {
            assert!(steps.contains(&*step.name), "{}: {}", path.display(), step.name);
            assert_eq!(
                compensated.contains(&*step.name),
                step.has_compensation(),
                "{}: {}",
                path.display(),
                step.name
            );
        }
        let title = document.root_element().children().find(|node| node.has_tag_name("title"));
        assert!(title.and_then(|title| title.text()).is_some_and(|title| title.contains("version")));
    }
}

#[test]
fn nothing_covers_anything_and_nothing_sticks_out() {
    for path in all() {
        let text = draw(&path);
        let document = Document::parse(&text).expect("well-formed");
        let root = document.root_element();
        let size: Vec<f64> = root
            .attribute("viewBox")
            .expect("a size")
            .split(' ')
            .map(|n| n.parse().expect("a number"))
            .collect();
        let page = Area { x: 0.0, y: 0.0, right: size[2], bottom: size[3] };
        let boxes = apart(root, page, &path);
        assert!(boxes > 3, "{}: only {boxes} boxes", path.display());
    }
}

/// The number of boxes below a node. Asserts that they are within `around` and do not overlap.
fn apart(parent: Node<'_, '_>, around: Area, path: &Path) -> usize {
    let children: Vec<_> = parent.children().filter(|node| node.has_tag_name("g")).collect();
    let areas: Vec<_> = children.iter().filter_map(|node| Some((*node, areas_of(*node)?))).collect();
    let mut count = 0;
    for (index, (node, area)) in areas.iter().enumerate() {
        assert!(area.within(around), "{}: {} sticks out", path.display(), about(*node));
        for (other, next) in &areas[index + 1..] {
            let touch = area.meets(*next);
            assert!(!touch, "{}: {} covers {}", path.display(), about(*node), about(*other));
        }
        let is_group = node.attribute("class").is_some_and(|class| class == "sg-group");
        count += 1 + if is_group { apart(*node, *area, path) } else { 0 };
    }
    count
}

/// The area of a group: that of all its own boxes, the compensation of a step included.
fn areas_of(node: Node<'_, '_>) -> Option<Area> {
    let is_group = node.attribute("class").is_some_and(|class| class == "sg-group");
    let rects = node.descendants().filter(|rect| rect.has_tag_name("rect"));
    let own = rects.filter(|rect| !is_group || rect.parent() == Some(node));
    own.map(Area::of).reduce(Area::with)
}

fn about(node: Node<'_, '_>) -> String {
    let attributes = ["data-step", "data-kind", "class"];
    attributes.iter().filter_map(|name| node.attribute(*name)).collect::<Vec<_>>().join(" ")
}

#[derive(Debug, Clone, Copy)]
struct Area {
    x: f64,
    y: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn of(rect: Node<'_, '_>) -> Self {
        let number = |name: &str| -> f64 { rect.attribute(name).expect("a size").parse().expect("a number") };
        let (x, y) = (number("x"), number("y"));
        Self { x, y, right: x + number("width"), bottom: y + number("height") }
    }

    fn with(self, other: Self) -> Self {
        Self {
            x: self.x.min(other.x),
            y: self.y.min(other.y),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    fn within(self, around: Self) -> bool {
        self.x >= around.x
            && self.y >= around.y
            && self.right <= around.right + 0.1
            && self.bottom <= around.bottom + 0.1
    }

    fn meets(self, other: Self) -> bool {
        self.x < other.right - 0.1
            && other.x < self.right - 0.1
            && self.y < other.bottom - 0.1
            && other.y < self.bottom - 0.1
    }
}

#[test]
fn what_is_written_in_a_definition_is_no_markup() {
    let source = "saga: odd\nversion: 1\ndescription: \"a <b> & \\\"c\\\"\"\ninput: { type: object, properties: { a: { type: string } } }\nsteps:\n  - name: ask\n    command: a.b\n    exchange: x\n    compensate: none\n    when: ${ input.a == \"<script>&|]}\" }\n";
    let compiled = snorri_definition::compile("odd.yaml", source).expect("a definition");
    let graph = graph(&compiled.definition, &Options::default());
    let text = svg::write(&graph);
    Document::parse(&text).expect("well-formed");
    assert!(!text.contains("<script>"));
    let flowchart = mermaid::write(&graph, Direction::Down);
    assert!(!flowchart.contains("<script>") && !flowchart.contains("|]}"), "{flowchart}");
    assert!(dot::write(&graph, Direction::Down).contains(r#"\"<script>"#));
}

#[test]
fn without_compensations_only_the_forward_path_is_drawn() {
    for path in all() {
        let options = Options { compensation: false, title: Some("Only forward".into()) };
        let text = svg::write(&graph(&compile(&path).definition, &options));
        let drawn = text.split_once("</style>").expect("a style").1;
        assert!(!drawn.contains("data-compensation") && !drawn.contains("compensated"), "{}", path.display());
        assert!(text.contains("Only forward"));
    }
}

/// Every arrow begins and ends at a node that exists.
#[rstest]
#[case::mermaid("-->", mermaid::write)]
#[case::dot("->", dot::write)]
fn arrows_lead_somewhere(
    #[case] arrow: &str,
    #[case] write: fn(&snorri_verify::graph::Graph, Direction) -> String,
) {
    for path in all() {
        let compiled = compile(&path);
        let text = write(&graph(&compiled.definition, &Options::default()), Direction::Down);
        assert!(text.contains(arrow));
        let begins = |line: &str, id: &str| {
            line.trim_start()
                .strip_prefix(id)
                .is_some_and(|rest| rest.starts_with(['[', '(', '{', '>']) || rest.starts_with(" ["))
        };
        for line in text.lines().filter(|line| line.contains(arrow) || line.contains("-.")) {
            let words: Vec<_> = line.trim().trim_end_matches(';').split(' ').collect();
            let to = match words.iter().position(|word| word.starts_with('[')) {
                Some(at) => words[at - 1],
                None => words[words.len() - 1],
            };
            for id in [words[0], to] {
                assert!(text.lines().any(|line| begins(line, id)), "{}: {id} in {line}", path.display());
            }
        }
    }
}

#[test]
fn a_definition_as_mermaid() {
    insta::assert_snapshot!(mermaid_of("sagas/payment.yaml"));
}

#[test]
fn a_definition_as_dot() {
    let compiled = compile(&root().join("sagas/order.yaml"));
    let text = dot::write(&graph(&compiled.definition, &Options::default()), Direction::Right);
    insta::assert_snapshot!(text);
}

fn mermaid_of(path: &str) -> String {
    let compiled = compile(&root().join(path));
    mermaid::write(&graph(&compiled.definition, &Options::default()), Direction::Down)
}

fn draw(path: &Path) -> String {
    svg::write(&graph(&compile(path).definition, &Options::default()))
}

fn compile(path: &Path) -> Compiled {
    let source = snorri_definition::read_definition(path).expect("readable");
    let compiled = snorri_definition::compile_with(&path.display().to_string(), &source.text, &source.files);
    compiled.unwrap_or_else(|diagnostics| panic!("{}", diagnostics.pretty()))
}

fn all() -> Vec<PathBuf> {
    let mut paths = shipped();
    paths.push(root().join("tests/graph/everything.yaml"));
    paths
}

fn shipped() -> Vec<PathBuf> {
    let sources = snorri_definition::read_directory(root().join("sagas")).expect("readable");
    sources.into_iter().map(|source| source.path).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
