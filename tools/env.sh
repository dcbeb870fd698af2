# Make the suite's commands and packages known to this shell (bash, zsh or sh):
#
#   . tools/env.sh
#
# In a plain sh, run it from the top folder of the repository. Uses the ROS 2 distribution that is
# sourced in this shell, and the wheels in .venv where none is.

if [ -n "${BASH_VERSION:-}" ]; then
  _mbrl_root=$(cd "$(dirname "$BASH_SOURCE")/.." && pwd)
  _mbrl_setup=setup.bash
elif [ -n "${ZSH_VERSION:-}" ]; then
  eval '_mbrl_root=${${(%):-%x}:A:h:h}'
  _mbrl_setup=setup.zsh
else
  _mbrl_root=$PWD
  _mbrl_setup=setup.sh
  [ -e tools/env.sh ] || echo 'error: in a plain sh, source tools/env.sh from its repository' >&2
fi

if [ -n "${ROS_DISTRO:-}" ] && [ -z "${WHEELS:-}" ] && command -v ros2 > /dev/null; then
  VIRTUAL_ENV=$_mbrl_root/.venv-$ROS_DISTRO
else
  VIRTUAL_ENV=$_mbrl_root/.venv
  case ":${AMENT_PREFIX_PATH:-}:" in
    *":$VIRTUAL_ENV:"*) ;;
    *)
      AMENT_PREFIX_PATH=$VIRTUAL_ENV${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}
      CMAKE_PREFIX_PATH=$VIRTUAL_ENV${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}
      ;;
  esac
  export AMENT_PREFIX_PATH CMAKE_PREFIX_PATH
fi
case ":$PATH:" in
  *":$VIRTUAL_ENV/bin:"*) ;;
  *) PATH=$VIRTUAL_ENV/bin:$PATH ;;
esac
export VIRTUAL_ENV PATH

if [ -e "$_mbrl_root/install/$_mbrl_setup" ]; then
  COLCON_CURRENT_PREFIX=$_mbrl_root/install
  . "$_mbrl_root/install/$_mbrl_setup"
  unset COLCON_CURRENT_PREFIX
fi
unset _mbrl_root _mbrl_setup
