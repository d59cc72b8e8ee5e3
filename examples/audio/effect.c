/* Play a sound through the network, a step for each sample: effect IN.wav OUT.wav */
#include <time.h>

#include "amplifier.h"
#include "wav.h"

#define MOST_CHANNELS 8

/* One state for each channel: the channels share the weights, and nothing else. */
static amplifier_state states[MOST_CHANNELS];

static int fail(const char *path, const char *problem) {
    fprintf(stderr, "%s: %s\n", path, problem);
    return 1;
}

int main(int count, char **words) {
    if (count != 3) {
        fprintf(stderr, "usage: effect IN.wav OUT.wav\n");
        return 2;
    }
    wav sound = {0, 0, 0, NULL};
    FILE *file = fopen(words[1], "rb");
    if (!file) {
        return fail(words[1], "cannot be opened");
    }
    const char *problem = wav_read(file, &sound);
    fclose(file);
    if (problem) {
        return fail(words[1], problem);
    }
    if (sound.channels > MOST_CHANNELS) {
        free(sound.samples);
        return fail(words[1], "expected at most 8 channels");
    }

    for (size_t channel = 0; channel < sound.channels; ++channel) {
        amplifier_reset(&states[channel]);
    }
    const clock_t start = clock();
    for (size_t frame = 0; frame < sound.frames; ++frame) {
        float *const samples = sound.samples + frame * sound.channels;
        for (size_t channel = 0; channel < sound.channels; ++channel) {
            float y;
            amplifier_step(&states[channel], &samples[channel], &y);
            samples[channel] = y;
        }
    }
    const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;

    file = fopen(words[2], "wb");
    const int written = file && wav_write(file, &sound, 32) && !fclose(file);
    free(sound.samples);
    if (!written) {
        return fail(words[2], "cannot be written");
    }
    const double length = (double)sound.frames / sound.rate;
    printf("%u channels, %.1f s at %u Hz, in %.2f s: a real-time factor of %.3f\n",
           (unsigned)sound.channels, length, (unsigned)sound.rate, seconds, seconds / length);
    return 0;
}
