/* Write three seconds of two plucked chords, one in each channel: chord OUT.wav */
#include <math.h>

#include "wav.h"

#define RATE 48000
#define SECONDS 3
#define NOTES 3
#define PARTIALS 6

static float samples[2 * SECONDS * RATE];

int main(int count, char **words) {
    static const double notes[2][NOTES] = {{82.41, 123.47, 164.81}, {164.81, 207.65, 246.94}};
    if (count != 2) {
        fprintf(stderr, "usage: chord OUT.wav\n");
        return 2;
    }
    for (size_t i = 0; i < 2 * SECONDS * RATE; ++i) {
        const double time = (double)(i / 2) / RATE;
        double sum = 0.0;
        for (size_t note = 0; note < NOTES; ++note) {
            for (int k = 1; k <= PARTIALS; ++k) { /* higher partials are softer, and end earlier */
                sum += exp(-1.5 * k * time) * sin(6.283185307 * k * notes[i % 2][note] * time) / k;
            }
        }
        samples[i] = (float)(0.15 * sum);
    }
    const wav sound = {RATE, 2, SECONDS * RATE, samples};
    FILE *file = fopen(words[1], "wb");
    if (!file || !wav_write(file, &sound, 16) || fclose(file)) {
        fprintf(stderr, "%s: cannot be written\n", words[1]);
        return 1;
    }
    return 0;
}
