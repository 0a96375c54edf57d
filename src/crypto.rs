//! What TLS computes with, for every client and server in this process that does not choose itself, and where random
//! secrets come from.

use rustls::crypto::ring;

/// Makes ring the default. Before any client or server is made; a second time it changes nothing.
pub fn install() {
    // The error says that there is a default already, which can only be this one.
    let _ = ring::default_provider().install_default();
}

/// Random bytes for a secret. `None`: the system has no randomness to give.
pub fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    ring::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(bytes)
}
