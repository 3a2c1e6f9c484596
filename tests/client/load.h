/* gyro-sim load: many Gy sessions at once, measured.
 *
 * A load generator, and a checker while it runs: every answer is looked at. It judges the node's
 * answers only; what the node stored is gyro.audit()'s business. */
#ifndef GYRO_SIM_LOAD_H
#define GYRO_SIM_LOAD_H

/* argv[0] is the command's name as the user typed it, the options follow; the dictionary is loaded.
 * Returns the exit status: 0 all answers right, 1 some wrong or missing, 2 could not run. */
int gyro_sim_load(int argc, char **argv);

#endif
