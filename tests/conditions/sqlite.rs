//! SQLite with a lock of another process, and SQLite on a full disk.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database};
use tokio::time::sleep;

use crate::clients::Load;
use crate::run::Run;
use crate::site::Site;
use crate::support::until;

const LOCK: Duration = Duration::from_secs(20);
/// How long the disk is full.
const FULL: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn locked() {
    let home = tempfile::tempdir().expect("a directory");
    let site = Site::sqlite(home.path()).await;
    let process = site.plan().start().await;
    let condition = "SQLite: another process holds the write lock for 20 s";
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], Load { http: 300, amqp: 200, over: Duration::from_secs(22) });
    sleep(Duration::from_secs(2)).await;
    let mut options = ConnectOptions::new(&site.database_url);
    options.max_connections(1);
    let other = Database::connect(options).await.expect("SQLite");
    other.execute_unprepared("BEGIN IMMEDIATE").await.expect("a lock");
    sleep(LOCK).await;
    other.execute_unprepared("ROLLBACK").await.expect("an end");
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

/// A small disk of its own, which is gone when it is dropped.
struct Disk {
    mount: tempfile::TempDir,
}

impl Disk {
    fn new(size: &str) -> Self {
        let mount = tempfile::tempdir().expect("a directory");
        let options = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(mount.path()).status();
        assert!(mounted.expect("mount").success(), "mounting a tmpfs needs root");
        Self { mount }
    }

    fn path(&self) -> &Path {
        self.mount.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Leaves no free byte.
    fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file");
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).expect("removed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Case 27. Twice the disk is full for 5 s. Once the process is killed on the full disk, and once right after there is room again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn full_disk() {
    let disk = Disk::new("256m");
    let site = Site::sqlite(disk.path()).await;
    let single = crate::site::order(&site.exchange);
    let single = [
        &single[..single.find("  - name: reserve").expect("a step")],
        &single[single.find("  - name: ship").expect("a step")..],
    ]
    .concat();
    site.define("order.yaml", &single);
    let plan = site.plan();
    let process = plan.start().await;
    let api = process.api.clone();
    let condition = "SQLite: disk full for 5 s, twice, with `kill -9` on the full disk and after it";
    let mut run = Run::begin(condition, &site, &[&api]).await;
    run.load(&[&api], Load { http: 5_000, amqp: 5_000, over: Duration::from_secs(40) });
    sleep(Duration::from_secs(5)).await;
    disk.fill();
    sleep(FULL).await;
    process.kill().await;
    let process = plan.spawn();
    sleep(Duration::from_secs(1)).await;
    disk.make_room();
    until(Duration::from_secs(30), "ready", async || process.api.is_ready().await.then_some(())).await;
    sleep(Duration::from_secs(5)).await;
    disk.fill();
    sleep(FULL).await;
    disk.make_room();
    sleep(Duration::from_secs(1)).await;
    process.kill().await;
    run.over();
    let process = plan.start().await;
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}
