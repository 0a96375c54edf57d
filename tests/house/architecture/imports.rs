//! Which file of a crate uses names of which other: a search of the source text, not a compiler.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path};

/// A file, by the path of its module. That of the crate's root is empty.
pub(super) type Module = Vec<String>;

/// How often a name that is imported from a file may be imported there from another one.
const MAX_REEXPORTS: usize = 8;

/// The source of one crate.
pub(super) struct Crate {
    files: BTreeMap<Module, File>,
}

#[derive(Default)]
struct File {
    /// The names that it imports, and their paths from the root.
    names: HashMap<String, Module>,
    /// All paths in it, as they are written.
    paths: Vec<Module>,
}

impl Crate {
    /// Reads the files of a crate: their paths below `src`, and their code without comments.
    pub(super) fn read<'a>(sources: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Self {
        let sources: Vec<_> = sources.into_iter().map(|(path, code)| (module(path), code)).collect();
        let mut source = Self { files: BTreeMap::new() };
        for (module, _) in &sources {
            source.files.entry(module.clone()).or_default();
        }
        for (module, code) in sources {
            let (mut names, mut paths) = (HashMap::new(), Vec::new());
            let mut rest = code;
            while let Some((before, after)) = next_import(rest) {
                paths.extend(written_paths(before));
                let (tree, after) = after.split_once(';').unwrap_or((after, ""));
                for (name, path) in expand(tree) {
                    names.extend(source.absolute(&module, &path).map(|absolute| (name, absolute)));
                    paths.push(path);
                }
                rest = after;
            }
            paths.extend(written_paths(rest));
            let file = source.files.entry(module).or_default();
            file.names.extend(names);
            file.paths.extend(paths);
        }
        source
    }

    /// The circles that are refused: all but those of a file with the files of its own folder.
    pub(super) fn refused_circles(&self) -> Vec<BTreeSet<Module>> {
        let uses: BTreeMap<_, _> =
            self.files.iter().map(|(module, file)| (module.clone(), self.uses(module, file))).collect();
        let is_refused = |circle: &BTreeSet<Module>| {
            !circle.iter().any(|parent| {
                let is_child = |module: &Module| module.split_last().is_some_and(|(_, of)| of == &parent[..]);
                let children: BTreeSet<_> =
                    circle.iter().filter(|module| *module != parent).cloned().collect();
                children.iter().all(is_child) && circles(&uses, &children).is_empty()
            })
        };
        let all = self.files.keys().cloned().collect();
        circles(&uses, &all).into_iter().filter(is_refused).collect()
    }

    /// The other files whose names a file uses.
    fn uses(&self, module: &Module, file: &File) -> BTreeSet<Module> {
        let absolute = |path: &Module| {
            let imported = file.names.get(&path[0]).map(|of| [of, &path[1..]].concat());
            imported.or_else(|| self.absolute(module, path))
        };
        let owners = file.paths.iter().filter_map(|path| self.owner(&absolute(path)?, MAX_REEXPORTS));
        owners.filter(|owner| owner != module).collect()
    }

    /// A path from the root. `None`: it is one of another crate, or a local name.
    fn absolute(&self, module: &Module, path: &Module) -> Option<Module> {
        let supers = path.iter().take_while(|name| *name == "super").count();
        let child = || module.iter().chain([&path[0]]).cloned().collect::<Module>();
        let (base, rest) = match path[0].as_str() {
            "crate" => (&module[..0], &path[1..]),
            "self" => (&module[..], &path[1..]),
            "super" => (&module[..module.len().checked_sub(supers)?], &path[supers..]),
            _ if self.files.contains_key(&child()) => (&module[..], &path[..]),
            _ => return None,
        };
        Some([base, rest].concat())
    }

    /// The file that has the item of this path. `None`: the path is that of a file.
    fn owner(&self, path: &Module, reexports: usize) -> Option<Module> {
        let length = (0..=path.len()).rev().find(|length| self.files.contains_key(&path[..*length]))?;
        let (owner, item) = path.split_at(length);
        match self.files[owner].names.get(item.first()?) {
            Some(elsewhere) if reexports > 0 => self.owner(&[elsewhere, &item[1..]].concat(), reexports - 1),
            _ => Some(owner.to_owned()),
        }
    }
}

/// The groups among `all` whose files reach each other.
fn circles(uses: &BTreeMap<Module, BTreeSet<Module>>, all: &BTreeSet<Module>) -> BTreeSet<BTreeSet<Module>> {
    let reached = |from: &Module| {
        let (mut reached, mut todo) = (BTreeSet::new(), vec![from]);
        while let Some(module) = todo.pop() {
            for next in uses[module].iter().filter(|next| all.contains(*next)) {
                if reached.insert(next.clone()) {
                    todo.push(next);
                }
            }
        }
        reached
    };
    let reached: BTreeMap<_, _> = all.iter().map(|module| (module, reached(module))).collect();
    let circle = |module: &Module| {
        let members = reached[module].iter().filter(|other| reached[*other].contains(module));
        members.cloned().collect::<BTreeSet<_>>()
    };
    all.iter().map(circle).filter(|circle| circle.len() > 1).collect()
}

/// The module of a file, by its path below `src`.
fn module(path: &Path) -> Module {
    let parent = path.parent().map(Path::components).into_iter().flatten();
    let folders = parent.filter_map(|part| match part {
        Component::Normal(name) => name.to_str().map(str::to_owned),
        _ => None,
    });
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let own = (!["lib", "main", "mod"].contains(&name)).then(|| name.to_owned());
    folders.chain(own).collect()
}

/// The code before the next import, and that from its tree on.
fn next_import(code: &str) -> Option<(&str, &str)> {
    let starts = code.match_indices("use ").find(|(at, _)| {
        let line = code[..*at].rsplit('\n').next().unwrap_or_default().trim();
        line.is_empty() || line.starts_with("pub")
    });
    starts.map(|(at, _)| (&code[..at], &code[at + "use ".len()..]))
}

/// The names that a tree of imports defines, and their paths.
fn expand(tree: &str) -> Vec<(String, Module)> {
    let Some((prefix, inner)) = tree.split_once('{') else {
        let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
        let mut path: Module = path.split("::").map(|name| name.trim().to_owned()).collect();
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name =
            if alias.is_empty() { path.last().cloned().unwrap_or_default() } else { alias.trim().to_owned() };
        return vec![(name, path)];
    };
    let inner = inner.trim_end().trim_end_matches('}');
    let (mut depth, mut from, mut items) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&inner[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    items.push(&inner[from..]);
    let items = items.into_iter().map(str::trim).filter(|item| !item.is_empty());
    items.flat_map(|item| expand(&format!("{}{item}", prefix.trim()))).collect()
}

/// The paths of several names in code.
fn written_paths(code: &str) -> Vec<Module> {
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = code.split(|c| !is_of_path(c)).map(|word| word.trim_end_matches(':'));
    let paths = words.filter(|word| !word.starts_with(':')).map(|word| word.split("::").map(str::to_owned));
    paths.map(Iterator::collect).filter(|path: &Module| path.len() > 1).collect()
}
