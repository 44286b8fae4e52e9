//! Films made by a cluster: a real Slurm of one node, started here where its programs are installed.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{engine::fake, harness::Room};

/// Ends with this value.
struct Cluster {
    folder: TempDir,
    programs: Vec<Child>,
}

const PROGRAMS: [&str; 3] = ["/usr/sbin/munged", "/usr/sbin/slurmctld", "/usr/sbin/slurmd"];

impl Cluster {
    /// None where Slurm is not installed.
    fn start() -> Option<Self> {
        if !PROGRAMS.iter().all(|program| Path::new(program).exists()) {
            // What a test says when it passes is shown to nobody unless it goes past the harness.
            std::io::stderr().write_all(b"skipped: Slurm (slurm-wlm, munge) is not installed\n").unwrap();
            return None;
        }
        let folder = TempDir::new().unwrap();
        let mut cluster = Self { folder, programs: vec![] };
        let at = |name: &str| cluster.folder.path().join(name).display().to_string();
        fs::write(at("munge.key"), [7; 1024]).unwrap();
        let mode = |path: String, mode| {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(at("munge.key"), 0o400);
        mode(at(""), 0o711);
        for name in ["state", "spool"] {
            fs::create_dir(at(name)).unwrap();
        }
        let user = word("id", &["-un"]);
        let host = word("hostname", &["-s"]);
        let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut lines = vec![
            format!("SlurmctldHost={host}(127.0.0.1)"),
            format!("SlurmctldPort={}\nSlurmdPort={}", port(), port()),
            format!("SlurmUser={user}\nSlurmdUser={user}"),
            format!("AuthInfo=socket={}", at("munge.socket")),
            format!("NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN"),
            format!("PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP"),
        ];
        for (key, name) in [
            ("StateSaveLocation", "state"),
            ("SlurmdSpoolDir", "spool"),
            ("SlurmctldPidFile", "ctl.pid"),
            ("SlurmdPidFile", "d.pid"),
            ("SlurmctldLogFile", "ctl.log"),
            ("SlurmdLogFile", "d.log"),
        ] {
            lines.push(format!("{key}={}", at(name)));
        }
        fs::write(at("slurm.conf"), format!("{}{}\n", PLAIN, lines.join("\n"))).unwrap();
        let munge = [
            ("key-file", "munge.key"),
            ("socket", "munge.socket"),
            ("pid-file", "munge.pid"),
            ("log-file", "munge.log"),
            ("seed-file", "munge.seed"),
        ];
        let munge: Vec<String> = munge.iter().map(|(option, name)| format!("--{option}={}", at(name))).collect();
        let conf = at("slurm.conf");
        let commands = [
            [&["--force".to_owned(), "--foreground".into(), "--num-threads=1".into()][..], &munge].concat(),
            vec!["-D".into(), "-c".into(), "-f".into(), conf.clone()],
            vec!["-D".into(), "-N".into(), host, "-f".into(), conf],
        ];
        for (program, words) in PROGRAMS.iter().zip(commands) {
            let mut command = Command::new(program);
            command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            cluster.programs.push(command.env("SLURM_CONF", cluster.conf()).spawn().unwrap());
            thread::sleep(Duration::from_millis(500));
        }
        cluster.wait("a node that waits for work", || cluster.says("sinfo", &["-h", "-o", "%T"]).contains("idle"));
        Some(cluster)
    }

    fn conf(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    fn says(&self, program: &str, words: &[&str]) -> String {
        let output = Command::new(program).args(words).env("SLURM_CONF", self.conf()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let started = Instant::now();
        while !done() {
            let log = || fs::read_to_string(self.folder.path().join("ctl.log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(120), "no {what}\n{}", log());
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn submit(&self, script: &str) {
        let said = self.says("sh", &[script]);
        assert!(said.contains("segments: job "), "{said}");
        self.wait("end of the jobs", || self.says("squeue", &["-h"]).trim().is_empty());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for program in self.programs.iter_mut().rev() {
            let _ = Command::new("kill").arg(program.id().to_string()).status();
            let _ = program.wait();
        }
    }
}

/// A cluster that does nothing but run jobs.
const PLAIN: &str = "ClusterName=test
AuthType=auth/munge
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
";

fn word(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "slow: a cluster is started, and six films"]
fn a_cluster_makes_the_film_that_one_program_makes() {
    let Some(cluster) = Cluster::start() else { return };
    let room = Room::new().with("WANCTL_ENGINE", fake().to_str().unwrap());
    room.stills(&["a.png", "b.png", "c.png", "d.png", "e.png"]);
    room.real_pair();
    for (name, words, size) in [
        ("apart", "travel a.png b.png c.png d.png e.png --engine rife --frames 9", (160, 90)),
        ("chain", "travel a.png b.png c.png d.png --engine rife --frames 9 --overlap 4", (160, 90)),
        ("join", "join a.mp4 b.mp4 a.mp4 --engine rife --gap 8", (160, 90)),
    ] {
        room.run(&format!("{words} --lossless -o {name}.mkv")).good();
        let shared = room.path(format!("it's {name}"));
        let mut line: Vec<&str> = words.split(' ').collect();
        let (film, work) = (format!("{name} by slurm.mkv"), shared.to_str().unwrap());
        line.extend(["--lossless", "-o", &film, "--emit", "slurm", "--work-dir", work]);
        let script = room.wanctl(&line).good().stdout;
        assert!(!room.path(&film).exists());
        cluster.submit(script.trim());
        let run = fs::read_dir(&shared).unwrap().next().unwrap().unwrap().path();
        let log = || fs::read_to_string(run.join("stitch.log")).unwrap_or_else(|error| error.to_string());
        assert!(room.path(&film).exists(), "{}", log());
        assert!(room.frames(&film, "rgb24", size) == room.frames(&format!("{name}.mkv"), "rgb24", size), "{name}");
    }
}
