//! The finished film's sound is heard before the film takes its name.

use crate::{harness::Room, refusals::failure};

/// An ffmpeg that writes the film's sound and then does something to it: `then` sees its name as `$last`.
fn spoiling(room: &Room, name: &str, then: &str) -> String {
    room.script(
        name,
        &format!(
            "for last do :; done\ncase \"$*\" in *sound.m4a|*sound.mka) ffmpeg \"$@\" || exit; last=${{last#file:}}; {then};; \
             *) exec ffmpeg \"$@\";; esac"
        ),
    )
}

/// Sound that is filtered once more.
fn filtered(filter: &str) -> String {
    format!(
        "ffmpeg -v error -y -i \"$last\" -af \"{filter}\" -c:a aac -f mp4 \"$last.new\" && mv \"$last.new\" \"$last\""
    )
}

/// Two clips of 50 frames with words that swell and fade, each with its own.
fn speaking(room: &Room) {
    room.numbered("mute.mkv", 20, 50, "25");
    for (name, pace, from) in [("a.mp4", "2.3", "0"), ("b.mp4", "1.9", "0.4"), ("own.mp4", "1.7", "0.9")] {
        room.material(name, &format!("speech at {pace} from {from}"), || {
            room.ffmpeg(&format!(
                "-i mute.mkv -f lavfi -i aevalsrc='.4*sin(2*PI*200*t)*pow(abs(sin(PI*{pace}*(t+{from}))*sin(PI*1.3*t)),2)':\
                 s=48000:d=2 -map 0:v -map 1:a -c:v copy -c:a aac {name}"
            ));
        });
    }
}

#[test]
#[ignore = "slow: nine films"]
fn a_film_whose_sound_is_not_its_clips_is_refused_with_the_place() {
    let room = Room::new();
    speaking(&room);
    // The second clip begins at 2.16 s.
    let cases = [
        ("silent.sh", "", "volume=0:enable='between(t,2.5,3.1)'", "the sound of b.mp4 falls silent at 2."),
        ("gone.sh", "", "volume=0", "the sound of a.mp4 falls silent at 0."),
        (
            "late.sh",
            "",
            "adelay=100:all=1,atrim=end=4.16",
            "the sound of a.mp4, which begins at 0.000 s, is 0.100 s late",
        ),
        ("early.sh", "", "atrim=start=0.15,asetpts=PTS-STARTPTS,apad=pad_dur=0.15", "is 0.150 s early"),
        (
            "second.sh",
            "",
            "asplit[x][y];[x]atrim=end=2.1,asetpts=PTS-STARTPTS[p];[y]atrim=start=2.0:end=4.06,asetpts=PTS-STARTPTS[q];[p][q]concat=v=0:a=1",
            "the sound of b.mp4, which begins at 2.",
        ),
        ("short.sh", "", "atrim=end=3", "its sound is not as long as its picture"),
        ("long.sh", "", "apad=pad_dur=0.5", "its sound is not as long as its picture"),
        (
            "own.sh",
            "--audio own.mp4",
            "volume=0:enable='between(t,0.3,1.2)'",
            "the sound of own.mp4 falls silent at 0.",
        ),
        (
            "own_late.sh",
            "--audio own.mp4",
            "adelay=200:all=1,atrim=end=4.16",
            "the sound of own.mp4, which begins at 0.000 s, is 0.200 s late",
        ),
    ];
    for (name, words, filter, message) in cases {
        let script = spoiling(&room, name, &filtered(filter));
        let line = format!("join --json a.mp4 b.mp4 --gap 4 -o film.mp4 {words}");
        let mut command = room.command(&line.split_whitespace().collect::<Vec<_>>());
        command.env("WANCTL_FFMPEG", script);
        let refusal = failure(&command.output().unwrap(), 7).with("message", message).with("stage", "verify");
        refusal.with("code", "media").with("help", "nothing was written");
        assert!(!room.path("film.mp4").exists(), "{name}");
    }
}

#[test]
#[ignore = "slow: two films"]
fn a_film_without_its_sound_or_with_a_late_picture_is_refused() {
    let room = Room::new();
    speaking(&room);
    for (name, instead, message) in [
        ("dropped.sh", "-c copy -map 0:v", ""),
        ("behind.sh", "-itsoffset 0.5 -i \"$last\" -map 1:v -map 0:a -c copy", "its picture begins late"),
    ] {
        let script = room.script(
            name,
            &format!(
                "for last do :; done\ncase \"$*\" in *pipe:0*) case \"$*\" in *sound.m4a) exec ffmpeg \"$@\";; esac; ffmpeg \"$@\" || exit; \
                 last=${{last#file:}}; \
                 ffmpeg -v error -y -i \"$last\" {instead} -f mp4 \"$last.new\" && mv \"$last.new\" \"$last\";; \
                 *) exec ffmpeg \"$@\";; esac"
            ),
        );
        let mut command = room.command(&["join", "--json", "a.mp4", "b.mp4", "--gap", "4", "-o", "film.mp4"]);
        command.env("WANCTL_FFMPEG", script);
        failure(&command.output().unwrap(), 7).with("message", message).with("stage", "verify");
        assert!(!room.path("film.mp4").exists());
    }
}

#[test]
#[ignore = "slow: eight films"]
fn no_honest_film_is_refused_whatever_it_sounds_like() {
    let room = Room::new();
    speaking(&room);
    let sounds = [
        ("noise.mp4", "anoisesrc=r=48000:a=0.3:d=2", "-c:a aac"),
        ("quiet.mp4", "anoisesrc=r=44100:a=0.004:d=2", "-c:a aac -b:a 24k"),
        ("silent.mp4", "anullsrc=r=48000:cl=stereo", "-c:a aac -t 2"),
        ("tone.mp4", "sine=440:r=48000:d=2", "-c:a aac"),
        ("high.mkv", "sine=19500:r=48000:d=2", "-c:a flac"),
        ("telephone.mp4", "aevalsrc='.5*sin(2*PI*300*t)*abs(sin(2*PI*3*t))':s=8000:d=2", "-c:a aac"),
        (
            "surround.mkv",
            "aevalsrc='.3*sin(2*PI*200*t)*gt(mod(t,.3),.1)|.3*sin(2*PI*300*t)|0|.2*sin(2*PI*50*t)|0|0':c=5.1:s=48000:d=2",
            "-c:a ac3 -b:a 192k",
        ),
        (
            "rough.mkv",
            "aevalsrc='.2*(sin(2*PI*150*t)+.5*sin(2*PI*1200*t))*pow(sin(2*PI*2.3*t),2)':s=48000:d=2",
            "-c:a libopus -b:a 12k",
        ),
        ("clicks.mkv", "aevalsrc='.9*lt(mod(t,.25),.0005)':s=48000:d=2", "-c:a flac"),
        ("one.mp4", "sine=440:r=48000:d=0.04", "-c:a aac -frames:v 1"),
    ];
    for (name, source, coding) in sounds {
        room.ffmpeg(&format!("-i mute.mkv -f lavfi -i {source} -map 0:v -map 1:a -c:v copy {coding} {name}"));
    }
    let all = sounds.map(|(name, ..)| name).join(" ");
    // A clip of one frame has none to give away on both sides.
    let longer = all.replace(" one.mp4", "");
    for words in [
        format!("join {all} one.mp4 a.mp4 {all} --gap 4"),
        format!("join a.mp4 {all} --gap 4 --fps 17"),
        format!("join telephone.mp4 {longer} b.mp4 --mode replace --gap 8"),
        format!("join surround.mkv {all} --gap 4 --lossless"),
        "join one.mp4 one.mp4 --gap 4".into(),
        "join a.mp4 --loop --mode replace --gap 8".into(),
        "join b.mp4 --range 10..14".into(),
        "join a.mp4 b.mp4 --gap 4 --audio clicks.mkv".into(),
    ] {
        let name = if words.contains("--lossless") { "film.mkv" } else { "film.mp4" };
        room.run(&format!("{words} --overwrite -o {name}")).good();
    }
}
