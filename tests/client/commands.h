/* The commands of gyro-sim: each takes the words after its name, and returns the exit status:
 * 0 as expected, 1 refused or failed, 2 wrong usage, 3 no connection or no answer. */
#ifndef GY_CLIENT_COMMANDS_H
#define GY_CLIENT_COMMANDS_H

int gyro_sim_session(int argc, char **argv);
int gyro_sim_request(int argc, char **argv);
int gyro_sim_case(int argc, char **argv);
int gyro_sim_churn(int argc, char **argv);
int gyro_sim_raw(int argc, char **argv);
int gyro_sim_purchase(int argc, char **argv);
int gyro_sim_bind(int argc, char **argv);
int gyro_sim_unbind(int argc, char **argv);
int gyro_sim_priority(int argc, char **argv);
int gyro_sim_statistics(int argc, char **argv);
int gyro_sim_cancel(int argc, char **argv);
int gyro_sim_refund(int argc, char **argv);

#define GYRO_SIM_OK        0
#define GYRO_SIM_REFUSED   1
#define GYRO_SIM_USAGE     2
#define GYRO_SIM_NO_ANSWER 3

#endif
