//! The four roles, and the required role of a route as a type.

use serde::Deserialize;

/// The rights of a caller: `viewer` reads, `operator` intervenes in sagas, `deployer` registers definitions, `admin` does all.
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

    /// Whether this role includes the rights of `needed`. Neither operators nor deployers include the other.
    pub fn covers(self, needed: Self) -> bool {
        self == needed || self == Self::Admin || needed == Self::Viewer
    }
}

/// The role that a route requires of its caller.
pub trait Access {
    /// `None`: the route requires no authentication.
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
