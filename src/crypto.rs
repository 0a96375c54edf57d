//! What TLS computes with, for every client and server in this process that does not choose itself.

use rustls::crypto::ring;

/// Makes ring the default. Before any client or server is made; a second time it changes nothing.
pub fn install() {
    // The error says that there is a default already, which can only be this one.
    let _ = ring::default_provider().install_default();
}
