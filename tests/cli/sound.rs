//! Sound: each clip's own, when its pictures are seen, and silence where nothing was recorded.

use std::{f64::consts::TAU, fs};

use super::harness::Room;

/// Two milliseconds.
const IN_SYNC: f64 = 0.002;

/// A clip that beeps at the start of some frames.
#[derive(Debug)]
pub(crate) struct Beeps {
    pub(crate) frames: usize,
    /// A ratio.
    pub(crate) fps: [u32; 2],
    pub(crate) rate: u32,
    pub(crate) channels: usize,
    pub(crate) at: &'static [usize],
    /// How much later than the pictures, or earlier.
    pub(crate) offset: f64,
}

pub(crate) const PLAIN: Beeps =
    Beeps { frames: 40, fps: [25, 1], rate: 48000, channels: 2, at: &[5, 14, 30], offset: 0.0 };

impl Beeps {
    /// When a frame is seen.
    fn time_of(&self, frame: usize) -> f64 {
        frame as f64 * f64::from(self.fps[1]) / f64::from(self.fps[0])
    }

    pub(crate) fn make(&self, room: &Room, name: &str) {
        room.material(name, &format!("{self:?}"), || self.make_anew(room, name));
    }

    fn make_anew(&self, room: &Room, name: &str) {
        let &Self { frames, rate, channels, at, offset, .. } = self;
        let sample_of = |frame| (self.time_of(frame) * f64::from(rate)).round() as usize;
        let mut sound = vec![0; sample_of(frames)];
        for frame in at {
            let start = sample_of(*frame);
            for (n, sample) in sound[start..].iter_mut().take(rate as usize / 50).enumerate() {
                *sample = ((n as f64 / f64::from(rate) * 1000.0 * TAU).cos() * 24000.0) as i16;
            }
        }
        self.mux(room, name, &sound, &format!("-f s16le -ar {rate} -ac {channels}"), offset);
    }

    fn mux(&self, room: &Room, name: &str, sound: &[i16], raw: &str, offset: f64) {
        room.numbered("mute.mkv", 20, self.frames, &format!("{}/{}", self.fps[0], self.fps[1]));
        let bytes: Vec<u8> =
            sound.iter().flat_map(|sample| vec![sample.to_le_bytes(); self.channels]).flatten().collect();
        fs::write(room.path("sound.raw"), bytes).unwrap();
        let coding = if name.ends_with("mkv") { "-c:a pcm_s16le" } else { "-c:a aac -b:a 256k" };
        let [late, early] = [offset.max(0.0), (-offset).max(0.0)];
        room.ffmpeg(&format!(
            "-itsoffset {early} -i mute.mkv -itsoffset {late} {raw} -i sound.raw -map 0:v -map 1:a -c:v copy {coding} {name}"
        ));
    }
}

/// The first channel of a file's sound, from its own start.
pub(crate) fn listen(room: &Room, name: &str, rate: u32) -> Vec<f64> {
    let rate = rate.to_string();
    let words = ["-i", name, "-map", "0:a:0", "-af", "pan=mono|c0=c0", "-ar", &rate, "-f", "f32le", "-"];
    let bytes = room.ffmpeg_words(&words);
    bytes.as_chunks::<4>().0.iter().map(|sample| f64::from(f32::from_le_bytes(*sample))).collect()
}

/// When something is heard after silence, in seconds.
pub(crate) fn onsets(sound: &[f64], rate: u32) -> Vec<f64> {
    let (mut found, mut last) = (vec![], None);
    for at in (0..sound.len()).filter(|&at| sound[at].abs() > 0.3) {
        if last.is_none_or(|last| at - last > rate as usize / 20) {
            found.push(at as f64 / f64::from(rate));
        }
        last = Some(at);
    }
    found
}

#[track_caller]
pub(crate) fn assert_heard(found: &[f64], wanted: &[f64]) {
    assert_heard_within(found, wanted, IN_SYNC);
}

#[track_caller]
pub(crate) fn assert_heard_within(found: &[f64], wanted: &[f64], seconds: f64) {
    let near = |(found, wanted): (&f64, &f64)| (found - wanted).abs() <= seconds;
    assert!(
        found.len() == wanted.len() && found.iter().zip(wanted).all(near),
        "heard {found:.4?}, wanted {wanted:.4?}"
    );
}

/// Seconds at which the beeps of a clip are seen, where its first frame is seen at `start`.
pub(crate) fn seen(clip: &Beeps, start: f64) -> impl Iterator<Item = f64> + '_ {
    clip.at.iter().map(move |&frame| start + clip.offset + clip.time_of(frame))
}

#[test]
#[ignore = "slow: six films"]
fn every_beep_is_heard_when_its_frame_is_seen() {
    let room = Room::new();
    PLAIN.make(&room, "a.mp4");
    let other = Beeps { at: &[7, 9, 31], ..PLAIN };
    let others = [
        ("b.mp4", other),
        ("fast.mp4", Beeps { fps: [30, 1], frames: 48, at: &[6, 21], ..PLAIN }),
        ("late.mp4", Beeps { offset: 0.3, at: &[5, 20], ..PLAIN }),
        ("early.mp4", Beeps { offset: -0.2, at: &[12, 20], ..PLAIN }),
        ("mono.mp4", Beeps { rate: 44100, channels: 1, at: &[3, 22], ..PLAIN }),
        ("surround.mp4", Beeps { channels: 6, at: &[8, 23], ..PLAIN }),
    ];
    for (name, clip) in &others {
        clip.make(&room, name);
    }
    let film_of = |words: &str| {
        let (plan, _) = room.joined(&format!("{words} --overwrite -o film.mp4"));
        let length = listen(&room, "film.mp4", 48000);
        let frames = plan["frames"].as_u64().unwrap() as f64;
        let stream = room.stream("film.mp4", "a");
        let duration: f64 = stream["duration"].as_str().unwrap().parse().unwrap();
        assert!(
            (duration - frames / 25.0).abs() <= 0.04 && (length.len() as f64 / 48000.0 - frames / 25.0).abs() <= 0.04
        );
        assert_eq!((&stream["codec_name"], &stream["sample_rate"]), (&"aac".into(), &"48000".into()));
        (onsets(&length, 48000), stream["channels"].as_u64().unwrap())
    };
    let names = others.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
    let (heard, channels) = film_of(&format!("a.mp4 {names} --gap 4"));
    let clips = others.iter().enumerate().flat_map(|(n, (_, clip))| seen(clip, (n + 1) as f64 * 44.0 / 25.0));
    assert_heard(&heard, &seen(&PLAIN, 0.0).chain(clips).collect::<Vec<_>>());
    assert_eq!(channels, 2);
    // Made frames stand where the clips' own stood: nothing moves.
    let [b, _, late, early, ..] = &others;
    let (heard, _) = film_of("a.mp4 b.mp4 --mode replace");
    assert_heard(&heard, &seen(&PLAIN, 0.0).chain(seen(&b.1, 40.0 / 25.0)).collect::<Vec<_>>());
    let (heard, _) = film_of("late.mp4 a.mp4 early.mp4 b.mp4 --gap 4");
    let starts = [0.0, 44.0, 88.0, 132.0].map(|frame| frame / 25.0);
    let clips = [&late.1, &PLAIN, &early.1, &b.1];
    assert_heard(&heard, &clips.iter().zip(starts).flat_map(|(clip, start)| seen(clip, start)).collect::<Vec<_>>());
    let (heard, channels) = film_of("surround.mp4 mono.mp4 --gap 4");
    assert_heard(&heard[..2], &seen(&others[5].1, 0.0).collect::<Vec<_>>());
    assert_eq!(channels, 6);
    // Looped: the first clip's head stands at the film's end.
    let (heard, _) = film_of("a.mp4 --loop --mode replace --gap 8");
    assert_heard(&heard, &PLAIN.at.iter().map(|&frame| (frame as f64 - 4.0) / 25.0).collect::<Vec<_>>());
}

#[test]
fn lossless_sound_is_the_clips_own_but_for_the_fades_and_silence_is_silent() {
    let room = Room::new();
    let tone = |hertz: f64| -> Vec<i16> {
        (0..76800).map(|n| ((f64::from(n) / 48000.0 * hertz * TAU).sin() * 20000.0) as i16).collect()
    };
    for (name, hertz) in [("a.mkv", 440.0), ("b.mkv", 330.0)] {
        PLAIN.mux(&room, name, &tone(hertz), "-f s16le -ar 48000 -ac 2", 0.0);
    }
    let pcm = |name: &str| -> Vec<i16> {
        let bytes = room.ffmpeg_words(&["-i", name, "-map", "0:a:0", "-f", "s16le", "-ac", "2", "-"]);
        bytes.as_chunks::<4>().0.iter().map(|both| i16::from_le_bytes([both[0], both[1]])).collect()
    };
    let (a, b) = (pcm("a.mkv"), pcm("b.mkv"));
    assert_eq!((a.len(), b.len()), (76800, 76800));
    let frame = 48000 / 25;
    // No step is larger than those of the louder tone itself.
    let step = |sound: &[i16]| sound.windows(2).map(|pair| pair[1].abs_diff(pair[0])).max().unwrap();
    let smooth = step(&a);

    room.run("join a.mkv b.mkv --gap 12 --lossless -o insert.mkv").good();
    assert_eq!(room.stream("insert.mkv", "a")["codec_name"], "flac");
    let film = pcm("insert.mkv");
    assert_eq!(film.len(), (40 + 12 + 40) * frame);
    assert!(film[..38 * frame] == a[..38 * frame]);
    assert!(film[40 * frame..52 * frame].iter().all(|&sample| sample == 0));
    assert!(film[54 * frame..] == b[2 * frame..]);
    assert!(step(&film) <= smooth);
    let loudest = |sound: &[i16]| sound.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    // Half way through the fade it is well down, at its end nearly gone.
    assert!(loudest(&film[39 * frame - 100..39 * frame]) < 16000 && loudest(&film[40 * frame - 100..40 * frame]) < 500);
    assert!(loudest(&film[52 * frame..52 * frame + 100]) < 500 && loudest(&film[53 * frame..53 * frame + 100]) < 16000);

    room.run("join a.mkv b.mkv --mode replace --blend 4 --lossless -o replace.mkv").good();
    let film = pcm("replace.mkv");
    assert_eq!(film.len(), 80 * frame);
    assert!(film[..36 * frame] == a[..36 * frame] && film[44 * frame..] == b[4 * frame..]);
    assert!(step(&film) <= smooth);
    assert!(loudest(&film[40 * frame - 50..40 * frame + 50]) < 500);

    room.run("join a.mkv --loop --mode replace --gap 8 --lossless -o loop.mkv").good();
    let film = pcm("loop.mkv");
    // From its end the film goes on at its start without a click.
    assert!(film[..34 * frame] == a[4 * frame..38 * frame]);
    assert!(step(&[&film[film.len() - 2000..], &film[..2000]].concat()) <= smooth);
}

#[test]
#[ignore = "slow: four films"]
fn a_clip_without_sound_is_silent_beside_one_that_has_it() {
    let room = Room::new();
    PLAIN.make(&room, "a.mp4");
    room.numbered("mute.mp4", 60, 40, "25");
    let heard = |words: &str| {
        room.run(&format!("join {words} --gap 4 --overwrite -o film.mp4")).good();
        let sound = listen(&room, "film.mp4", 48000);
        assert!((sound.len() as f64 / 1920.0 - 84.0).abs() <= 1.0, "{}", sound.len());
        onsets(&sound, 48000)
    };
    assert_heard(&heard("a.mp4 mute.mp4"), &seen(&PLAIN, 0.0).collect::<Vec<_>>());
    assert_heard(&heard("mute.mp4 a.mp4"), &seen(&PLAIN, 44.0 / 25.0).collect::<Vec<_>>());
    room.run("join mute.mp4 mute.mp4 --gap 4 -o none.mp4").good();
    room.run("join a.mp4 a.mp4 --gap 4 --audio mute -o muted.mp4").good();
    for film in ["none.mp4", "muted.mp4"] {
        assert!(room.stream(film, "a").is_null());
    }
}

#[test]
#[ignore = "slow: two films and two refusals"]
fn a_file_of_the_users_own_can_be_the_sound() {
    let room = Room::new();
    PLAIN.make(&room, "a.mp4");
    Beeps { frames: 20, at: &[3, 12], ..PLAIN }.make(&room, "short.mp4");
    Beeps { frames: 200, at: &[50, 160], rate: 44100, ..PLAIN }.make(&room, "long.mp4");
    room.ffmpeg("-i long.mp4 -vn -c:a pcm_s16le long.wav");
    for (file, rate, wanted) in [("short.mp4", 48000, vec![0.12, 0.48]), ("long.wav", 44100, vec![2.0])] {
        room.run(&format!("join a.mp4 a.mp4 --gap 4 --audio {file} --overwrite -o film.mp4")).good();
        let sound = listen(&room, "film.mp4", rate);
        assert_heard(&onsets(&sound, rate), &wanted);
        assert!((sound.len() as f64 / f64::from(rate) - 84.0 / 25.0).abs() <= 0.04, "{file}: {}", sound.len());
    }
    room.numbered("silent.mp4", 20, 8, "25");
    room.run("join a.mp4 a.mp4 --audio gone.wav -o no.mp4").fails(3).says("gone.wav does not exist");
    room.run("join a.mp4 a.mp4 --audio silent.mp4 -o no.mp4").fails(3).says("silent.mp4 has no sound");
    assert!(!room.path("no.mp4").exists());
}

#[test]
fn an_ntsc_film_stays_in_sync_to_its_end() {
    let room = Room::new();
    let ntsc = Beeps { frames: 200, fps: [30000, 1001], at: &[10, 190], ..PLAIN };
    ntsc.make(&room, "a.mp4");
    let (plan, _) = room.joined("a.mp4 a.mp4 --gap 8 --crf 30");
    let made = plan["seams"][0]["used"]["gap"].as_u64().unwrap() as usize;
    let wanted: Vec<f64> = seen(&ntsc, 0.0).chain(seen(&ntsc, ntsc.time_of(200 + made))).collect();
    assert_heard(&onsets(&listen(&room, "a_join_a.mp4", 48000), 48000), &wanted);
}

#[test]
fn holes_in_the_sound_of_a_clip_put_together_from_others_do_not_add_up() {
    let room = Room::new();
    let part = Beeps { frames: 25, at: &[4], ..PLAIN };
    part.make(&room, "part.mp4");
    // Its sound ends before its pictures, as it does in nearly every file.
    room.ffmpeg("-i part.mp4 -map 0 -c:v copy -af atrim=end=0.96 -c:a aac short.mp4");
    fs::write(room.path("list.txt"), "file short.mp4\n".repeat(4)).unwrap();
    room.ffmpeg("-f concat -i list.txt -c copy four.mp4");
    room.numbered("mute.mp4", 60, 20, "25");
    room.run("join four.mp4 mute.mp4 --gap 4").good();
    let wanted: Vec<f64> = (0..4).map(|n| f64::from(n) + part.time_of(4)).collect();
    assert_heard(&onsets(&listen(&room, "four_join_mute.mp4", 48000), 48000), &wanted);
}
