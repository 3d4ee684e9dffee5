//! What a service manager hears of the daemon.

use billhook_tests::harness::daemon::{Daemon, own_uid};
use billhook_tests::harness::{Rig, Setup};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// The next message that has this line; others in between are passed over.
fn heard(socket: &UnixDatagram, line: &str) -> String {
    let mut bytes = [0; 4_096];
    loop {
        let length = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{line} never came: {error}"));
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if text.lines().any(|found| found == line) {
            return text;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_hears_of_the_start_of_signs_of_life_of_a_reload_and_of_the_end() {
    let rig = Rig::with(Setup { uid: Some(own_uid()), ..Setup::default() }, |_| {});
    let path = rig.folder.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let path = path.display().to_string();

    let daemon = Daemon::start_with(&rig, &[("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "200000")]);

    let ready = heard(&socket, "READY=1");
    assert!(ready.contains("STATUS=takes hooks; 1 servers ready, 0 not"), "{ready}");
    for _ in 0..3 {
        heard(&socket, "WATCHDOG=1");
    }
    daemon.signal("HUP");
    let reloading = heard(&socket, "RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    heard(&socket, "READY=1");
    heard(&socket, "WATCHDOG=1");
    let ended = std::thread::spawn(move || daemon.stop());
    heard(&socket, "STOPPING=1");
    ended.join().unwrap();
}
