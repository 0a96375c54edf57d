//! Who may do what: four roles, and what a route asks for, as a type.

use serde::Deserialize;

/// What somebody may do. `viewer` looks, `operator` steers sagas, `deployer` registers definitions, `admin` does all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Viewer,
    Operator,
    Deployer,
    Admin,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Deployer, Self::Admin];

    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Deployer => "deployer",
            Self::Admin => "admin",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether who has this role may do what `needed` is asked for. Operators and deployers are not each other's betters.
    pub fn covers(self, needed: Self) -> bool {
        self == needed || self == Self::Admin || needed == Self::Viewer
    }
}

/// What a route asks of who calls it.
pub trait Access {
    /// `None`: nothing, not even a name.
    const ROLE: Option<Role>;
}

#[derive(Debug)]
pub struct Open;
#[derive(Debug)]
pub struct Viewer;
#[derive(Debug)]
pub struct Operator;
#[derive(Debug)]
pub struct Deployer;
#[derive(Debug)]
pub struct Admin;

impl Access for Open {
    const ROLE: Option<Role> = None;
}

impl Access for Viewer {
    const ROLE: Option<Role> = Some(Role::Viewer);
}

impl Access for Operator {
    const ROLE: Option<Role> = Some(Role::Operator);
}

impl Access for Deployer {
    const ROLE: Option<Role> = Some(Role::Deployer);
}

impl Access for Admin {
    const ROLE: Option<Role> = Some(Role::Admin);
}
