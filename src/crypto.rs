//! The default cryptography provider of TLS, for every client and server in this process.

use rustls::crypto::ring;

/// Makes ring the default provider. Call it before any client or server is created; further calls change nothing.
pub fn install() {
    // An error means that a default is already installed, which can only be this one.
    let _ = ring::default_provider().install_default();
}
